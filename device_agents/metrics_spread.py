"""How times spread, in bounded memory: a histogram whose bounds grow by a quarter."""

from __future__ import annotations

import math
from bisect import bisect_left

import msgspec
import numpy as np

from edge_sdk.tensors import FloatArray

# Renard's series R10 (ISO 3): ten numbers a decade, each a quarter above the one before, with 1, 2 and 5 among them.
_R10 = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
_ROUND = (1.0, 2.0, 5.0)
_DECADES = range(-6, 2)  # a microsecond to a minute and a half
BOUNDS_S = tuple(float(f"{step}e{decade}") for decade in _DECADES for step in _R10)
_TOLD = tuple(number for number, _ in enumerate(BOUNDS_S) if _R10[number % len(_R10)] in _ROUND)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How times spread.

    Attributes:
        count: Times noted since the start.
        p50_s: Half of those of the last minute or two were not above it; likewise the others. 0 before the first.
        p90_s: Nine in ten.
        p99_s: Ninety-nine in a hundred.
        longest_s: Of those since the start.
    """

    count: int = 0
    p50_s: float = 0.0
    p90_s: float = 0.0
    p99_s: float = 0.0
    longest_s: float = 0.0


class Histogram:
    """Counts times. One thread notes; others may read what may be a moment old.

    Attributes:
        count: Times noted.
        sum_s: Their sum.
        longest_s: The longest.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(len(BOUNDS_S) + 1, np.int64)
        self._before = self._earlier = self._counts.copy()
        self.count, self.sum_s, self.longest_s = 0, 0.0, 0.0

    def note(self, seconds: float, *, times: int = 1) -> None:
        """Count one time, which was that of so many things."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += times
        self._add(times, seconds * times, seconds)

    def note_all(self, seconds: FloatArray) -> None:
        """Count many times."""
        if len(seconds):
            places = np.searchsorted(BOUNDS_S, seconds)
            self._counts += np.bincount(places, minlength=len(self._counts))
            self._add(len(seconds), float(seconds.sum()), float(seconds.max()))

    def turn(self) -> None:
        """Forget for the quantiles what was before the last `turn`."""
        self._earlier, self._before = self._before, self._counts.copy()

    def quantile(self, share: float) -> float:
        """Return the time that this share of the recent ones were not above, rounded up by a quarter at most."""
        recent = self._counts - self._earlier
        reached = np.searchsorted(recent.cumsum(), share * recent.sum())
        bound = BOUNDS_S[min(int(reached), len(BOUNDS_S) - 1)]
        return min(bound, self.longest_s) if recent.any() else 0.0

    def spread(self) -> Spread:
        """Return the figures to tell."""
        p50_s, p90_s, p99_s = (self.quantile(share) for share in (0.5, 0.9, 0.99))
        return Spread(count=self.count, p50_s=p50_s, p90_s=p90_s, p99_s=p99_s, longest_s=self.longest_s)

    def buckets(self) -> list[tuple[float, int]]:
        """Return round bounds, the last without end, and how many times since the start were not above each."""
        reached = self._counts.cumsum()
        return [*((BOUNDS_S[number], int(reached[number])) for number in _TOLD), (math.inf, int(reached[-1]))]

    def _add(self, times: int, sum_s: float, longest_s: float) -> None:
        self.count += times
        self.sum_s += sum_s
        self.longest_s = max(self.longest_s, longest_s)
