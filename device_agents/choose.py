"""How a model runs fastest on this machine, found out by trying: threads for one inference, windows in one inference.

Which way wins depends on model, library and processor, so it is measured here, once, and kept.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from device_agents.runtimes.base import Inputs, Runtime, Way
from edge_sdk.errors import IncompatibleBundle
from edge_sdk.selftest import SelfTest
from edge_sdk.tensors import FloatArray

LIMIT_S = 0.6
"""Seconds for which the first start of a model may measure."""
BATCHES = (1, 16)
_WINDOWS = 64
# A way that takes more of the machine must be worth it: cores that sources and delivery need, or a second interpreter.
_GAIN_OF_THREADS, _GAIN_OF_BATCHES = 1.5, 1.1
_SINGLE = Way()


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A way of running a model, and the microseconds that a window takes."""

    way: Way
    window_us: float


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The way to run a model, and what was tried; other ways did not work, or not to the same bits."""

    way: Way
    trials: tuple[Trial, ...]


def choose(
    load: Callable[[Way], Runtime],
    windows: Callable[[int], Inputs],
    *,
    ways: Sequence[Way],
    limit_s: float = LIMIT_S,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """Try ways of running a model.

    Args:
        load: Returns the model, loaded to run that way; `IncompatibleBundle` if it cannot.
        windows: Returns so many windows.
        ways: To try; the first is taken for granted.
        limit_s: About how long it may take.
        clock: Seconds.

    Raises:
        EdgeError: The model does not load even the first way.
    """
    share_s = limit_s / len(ways)
    first = load(ways[0])
    first.infer_batch(windows(1))  # the first run prepares what the others use
    count = affordable(_once(first, windows(1), clock), share_s=share_s)
    given = windows(count)
    expected = first.infer_batch(given)
    # One at a time, so that no two are in memory.
    alike = [way for way in ways[1:] if way.batch <= count and _is_same(load, way, given, expected)]
    trials = [
        Trial(way=way, window_us=_timed(load(way), given, clock, share_s=share_s if alike else 0.0))
        for way in (ways[0], *alike)
    ]
    return Choice(way=best(trials), trials=tuple(trials))


def best(trials: Sequence[Trial]) -> Way:
    """Return the fastest way, unless one that takes less of the machine is nearly as fast."""
    chosen, *others = sorted(trials, key=lambda trial: (trial.way.threads, trial.way.batch))
    for trial in others:
        gain = _GAIN_OF_THREADS if trial.way.threads > chosen.way.threads else _GAIN_OF_BATCHES
        if trial.window_us * gain <= chosen.window_us:
            chosen = trial
    return chosen.way


def ways(*, threads: int | None = None, batches: Sequence[int] = BATCHES, cores: int | None = None) -> list[Way]:
    """Return the ways worth trying, the plainest first.

    Args:
        threads: What a person asked for; ``None`` to try doubling numbers up to all cores.
        batches: Windows in one inference.
        cores: Of this machine.
    """
    has = cores or len(os.sched_getaffinity(0))
    counts = [threads] if threads else [count for count in (1, 2, 4, 8, 16) if count <= has]
    return [Way(threads=count, batch=batch) for batch in batches for count in counts]


def affordable(window_us: float, *, share_s: float) -> int:
    """Return how many windows can be tried several times in the time there is."""
    return int(min(_WINDOWS, max(1, share_s * 1e6 / 4 / max(window_us, 1e-3))))


def trial_windows(test: SelfTest, count: int) -> dict[str, FloatArray]:
    """Return so many windows, all different, made of the real ones in a self-test."""
    # Each a little smaller than the last: answers that get mixed up must not look alike.
    shrink: FloatArray = 1 - np.arange(count, dtype=np.float32) / np.float32(2 * _WINDOWS)
    found: dict[str, FloatArray] = {}
    for name in test.cases[0].inputs:
        real = [test.cases[number % len(test.cases)].inputs[name].numpy() for number in range(count)]
        found[name] = np.stack(real) * shrink.reshape(-1, *[1] * real[0].ndim)
    return found


def machine() -> str:
    """Name what speed depends on: the processor, and how much of it is ours."""
    return f"{platform.machine()} {_processor()} x{len(os.sched_getaffinity(0))}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    named = [line for line in lines if line.startswith(("model name", "Model", "CPU part"))]
    return named[0].partition(":")[2].strip() if named else ""


def _is_same(load: Callable[[Way], Runtime], way: Way, given: Inputs, expected: FloatArray) -> bool:
    """Return whether the model runs that way, and gives the same bits."""
    try:
        return load(way).infer_batch(given).tobytes() == expected.tobytes()
    except (IncompatibleBundle, RuntimeError):  # some operators only find out when they run
        return False


def _timed(runtime: Runtime, given: Inputs, clock: Callable[[], float], *, share_s: float) -> float:
    """Return the shortest time a window took: what else the machine does only ever adds."""
    until_s, shortest_us = clock() + share_s, _once(runtime, given, clock)
    while clock() < until_s:
        shortest_us = min(shortest_us, _once(runtime, given, clock))
    return shortest_us


def _once(runtime: Runtime, given: Inputs, clock: Callable[[], float]) -> float:
    windows = len(next(iter(given.values())))
    began_s = clock()
    runtime.infer_batch(given)
    return (clock() - began_s) * 1e6 / windows
