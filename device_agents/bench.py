"""How long a model takes on this machine, by threads and by windows in one inference."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from device_agents.runtimes.base import Inputs, Runtime, Way
from edge_sdk.errors import IncompatibleBundle
from edge_sdk.tensors import FloatArray

_LEAST_RUNS = 5
_ONE_BY_ONE, _FEWER_THREADS = "the model takes windows one by one", "the model takes fewer threads"
_OTHER_ANSWERS = "the answers are not the same to the bit"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """How a model runs one way.

    Attributes:
        way: Which.
        median_us: A window, in a median run.
        p99_us: A window, in a run that only one in a hundred exceeds.
        fault: Why it is not run so; empty when it may be.
    """

    way: Way
    median_us: float = 0.0
    p99_us: float = 0.0
    fault: str = ""

    @property
    def windows_per_s(self) -> float:
        """How many windows one loop does."""
        return 1e6 / self.median_us if self.median_us else 0.0


def measure(
    load: Callable[[Way], Runtime],
    windows: Inputs,
    *,
    ways: Sequence[Way],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Row]:
    """Return how a model runs each way; the first is the one that the others' answers are compared with.

    Args:
        load: Returns the model, loaded to run that way; `IncompatibleBundle` if it cannot.
        windows: What it is given in one run.
        ways: To measure.
        seconds: For each.
        clock: Seconds.

    Raises:
        EdgeError: The model does not load even the first way.
    """
    expected = load(ways[0]).infer_batch(windows)
    return [_row(load, windows, way, expected, seconds=seconds, clock=clock) for way in ways]


def _row(
    load: Callable[[Way], Runtime],
    windows: Inputs,
    way: Way,
    expected: FloatArray,
    *,
    seconds: float,
    clock: Callable[[], float],
) -> Row:
    try:
        runtime = load(way)
        if runtime.infer_batch(windows).tobytes() != expected.tobytes():
            return Row(way=way, fault=_OTHER_ANSWERS)
    except (IncompatibleBundle, RuntimeError):  # the first way has shown that the model itself is sound
        return Row(way=way, fault=_ONE_BY_ONE if way.batch > 1 else _FEWER_THREADS)
    times_us: list[float] = []
    until_s = clock() + seconds
    while len(times_us) < _LEAST_RUNS or clock() < until_s:
        began_s = clock()
        runtime.infer_batch(windows)
        times_us.append((clock() - began_s) * 1e6 / len(expected))
    return Row(way=way, median_us=float(np.median(times_us)), p99_us=float(np.percentile(times_us, 99)))
