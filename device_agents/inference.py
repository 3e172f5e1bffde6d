"""From windows to probabilities: prepare, run, interpret the numbers. One model, whatever runs it."""

from __future__ import annotations

import time

import numpy as np

from device_agents.runtimes.base import Runtime
from edge_sdk.contracts import InputContract, OutputContract
from edge_sdk.decisions import answer
from edge_sdk.preprocessing import prepare_batch
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import Window

_KEPT_TIMES = 16_384  # five hours of one patient's heartbeats


class Inference:
    """A model with its contracts.

    Args:
        runtime: The loaded model.
        reads: What it takes.
        answers: What its output means.
    """

    def __init__(self, runtime: Runtime, *, reads: InputContract, answers: OutputContract) -> None:
        self._runtime, self._reads, self._answers = runtime, reads, answers
        self._times_us = np.zeros(_KEPT_TIMES, np.float32)
        self._timed = 0

    def decide(self, window: Window) -> FloatArray | None:
        """Return the probability of each label, or each quantity in its unit, float32 of shape (labels or quantities,).

        ``None`` when the answer is no number.

        Raises:
            SignalError: The window is not of the contract's shape.
        """
        parts = {wanted.name: getattr(window, wanted.takes)[np.newaxis] for wanted in self._reads.inputs}
        meant = self.decide_all(parts)[0]
        return meant if np.isfinite(meant).all() else None

    def decide_all(self, parts: dict[str, FloatArray]) -> FloatArray:
        """Return what `decide` does for many windows, shape (windows, labels or quantities): NaN where it is no number.

        Args:
            parts: What each input takes of the windows, by the input's name: shape (windows, …).

        Raises:
            SignalError: The windows are not of the contract's shape.
        """
        inputs = prepare_batch(parts, self._reads)
        before_ns = time.perf_counter_ns()
        outputs = self._runtime.infer_batch(inputs)
        self._note((time.perf_counter_ns() - before_ns) / 1000 / len(outputs), len(outputs))
        with np.errstate(over="ignore", invalid="ignore"):
            meant = answer(outputs.reshape(len(outputs), -1), self._answers)
        meant[~(np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1) & np.isfinite(meant).all(axis=1))] = np.nan
        return meant

    def time_us(self, percentile: float) -> float:
        """Return a percentile of the latest times in the runtime, microseconds a window; 0 before the first."""
        times = self._times_us[: self._timed]
        return float(np.percentile(times, percentile)) if len(times) else 0.0

    def _note(self, us: float, windows: int) -> None:
        kept = min(windows, _KEPT_TIMES // 2)
        if self._timed + kept > _KEPT_TIMES:
            half = self._timed // 2
            self._times_us[: self._timed - half] = self._times_us[half : self._timed].copy()
            self._timed -= half
        self._times_us[self._timed : self._timed + kept] = us
        self._timed += kept
