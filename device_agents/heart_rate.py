"""Heart rate from the intervals between beats. Pure: time is counted in samples."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

_INTERVALS = 8
_EVERY_S = 5.0
# What a cardiac monitor must be able to show is 30 to 200/min (ANSI/AAMI EC13); what lies outside is a missed beat.
_SHORTEST_S, _LONGEST_S = 0.2, 3.0


class HeartRate:
    """A rate about every five seconds, from the latest intervals and never from old ones."""

    def __init__(self, *, sample_rate_hz: float) -> None:
        self._every = round(_EVERY_S * sample_rate_hz)
        self._recent: deque[float] = deque(maxlen=_INTERVALS)
        self._next_index = 0

    def beat(self, *, index: int, rr_s: float) -> float | None:
        """Take a beat and its distance from the one before; return beats per minute when it is time for one.

        An interval that is unknown, or too long to be one, makes a gap: what was measured before it is forgotten.
        """
        if not _SHORTEST_S <= rr_s <= _LONGEST_S:  # NaN too
            self.gap()
            return None
        self._recent.append(rr_s)
        if index < self._next_index or len(self._recent) < 2:  # noqa: PLR2004
            return None
        self._next_index = index + self._every
        return rate_per_minute(list(self._recent))

    def gap(self) -> None:
        """Forget the intervals so far: the next beat's neighbour is unknown."""
        self._recent.clear()


def rate_per_minute(rr_s: list[float]) -> float:
    """Return the rate of two or more intervals.

    It is the median over pairs of neighbours: in bigeminy short and long intervals alternate, and only their
    sum tells the rate, which a monitor must count as the beats are (ANSI/AAMI EC13, waveform 3a).
    """
    intervals = np.asarray(rr_s)
    rate = 120.0 / float(np.median(intervals[1:] + intervals[:-1]))
    return math.floor(rate * 10 + 0.5) / 10
