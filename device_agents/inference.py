"""From a window to probabilities: prepare, run, interpret the numbers. One model, whatever runs it."""

from __future__ import annotations

import time
from array import array

import numpy as np

from device_agents.runtimes.base import Runtime
from edge_sdk.contracts import InputContract, OutputContract
from edge_sdk.decisions import answer
from edge_sdk.preprocessing import prepare
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import Window

_KEPT_TIMES = 16_384  # five hours of heartbeats


class Inference:
    """A model with its contracts.

    Args:
        runtime: The loaded model.
        reads: What it takes.
        answers: What its output means.
    """

    def __init__(self, runtime: Runtime, *, reads: InputContract, answers: OutputContract) -> None:
        self._runtime, self._reads, self._answers = runtime, reads, answers
        self._times_ns = array("q")

    def decide(self, window: Window) -> FloatArray | None:
        """Return the probability of each label, or each quantity in its unit, float32 of shape (labels or quantities,).

        ``None`` when the answer is no number.

        Raises:
            SignalError: The window is not of the contract's shape.
        """
        inputs = prepare(window, self._reads)
        before_ns = time.perf_counter_ns()
        output = self._runtime.infer(inputs)
        self._times_ns.append(time.perf_counter_ns() - before_ns)
        if len(self._times_ns) > _KEPT_TIMES:
            del self._times_ns[: _KEPT_TIMES // 2]
        if not np.isfinite(output).all():
            return None
        with np.errstate(over="ignore"):
            meant = answer(output.reshape(-1), self._answers)
        return meant if np.isfinite(meant).all() else None

    def time_us(self, percentile: float) -> float:
        """Return a percentile of the latest times in the runtime, microseconds; 0 before the first window."""
        return float(np.percentile(np.array(self._times_ns), percentile)) / 1000 if self._times_ns else 0.0
