"""Heart rate of many streams at once, from the intervals between beats. Pure: time is counted in samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_sdk.tensors import FloatArray, IntArray

# What a cardiac monitor must be able to show is 30 to 200/min (ANSI/AAMI EC13); what lies outside is a missed beat.
SHORTEST_RR_S, LONGEST_RR_S = 0.2, 3.0
_INTERVALS = 8
_EVERY_S = 5.0


def turns(lanes: IntArray) -> Iterator[IntArray]:
    """Yield positions in ``lanes`` so that each turn has a lane once at most: first beats, then second ones, and so on.

    Args:
        lanes: Shape (k,), in any order; what is of one lane is in the order of time.
    """
    if len(lanes) == 0:
        return
    if (lanes[1:] > lanes[:-1]).all():
        yield np.arange(len(lanes))
        return
    order = np.argsort(lanes, kind="stable")
    ordered = lanes[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    rank = np.arange(len(lanes)) - np.repeat(starts, np.diff(starts, append=len(lanes)))
    for turn in range(int(rank.max()) + 1):
        yield order[rank == turn]


class IntervalRing:
    """The latest intervals of each lane, a row each.

    Args:
        keep: How many.
    """

    def __init__(self, *, keep: int) -> None:
        self._keep = keep
        self._rows: FloatArray = np.empty((0, keep), np.float32)
        self._next: IntArray = np.empty(0, np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        more = lanes - len(self._rows)
        self._rows = np.concatenate([self._rows, np.full((more, self._keep), np.nan, np.float32)])
        self._next = np.concatenate([self._next, np.zeros(more, np.int64)])

    def clear(self, lanes: IntArray) -> None:
        """Forget the intervals of these lanes."""
        self._rows[lanes] = np.nan
        self._next[lanes] = 0

    def push(self, lanes: IntArray, rr_s: FloatArray) -> None:
        """Add an interval to each of these different lanes; NaN stays as a break between its neighbours."""
        at = self._next[lanes]
        self._rows[lanes, at] = rr_s
        self._next[lanes] = (at + 1) % self._keep

    def latest(self, lanes: IntArray, count: int) -> FloatArray:
        """Return the latest intervals of each lane, shape (k, count), newest first, NaN where there is none."""
        columns = (self._next[lanes, np.newaxis] - 1 - np.arange(count)) % self._keep
        latest: FloatArray = self._rows[lanes[:, np.newaxis], columns]
        return latest


def rates_per_minute(rr_s: FloatArray) -> FloatArray:
    """Return the rate of each row of neighbouring intervals, shape (k,); NaN where there are not two in a row.

    It is the median over pairs of neighbours: in bigeminy short and long intervals alternate, and only their
    sum tells the rate, which a monitor must count as the beats are (ANSI/AAMI EC13, waveform 3a).
    """
    pairs = np.sort(rr_s[:, 1:] + rr_s[:, :-1], axis=1)  # NaN comes last
    count = np.count_nonzero(pairs == pairs, axis=1)  # noqa: PLR0124  # NaN alone differs from itself
    rows = np.arange(len(pairs))
    median = (pairs[rows, np.maximum(count - 1, 0) // 2] + pairs[rows, np.minimum(count // 2, pairs.shape[1] - 1)]) / 2
    rates: FloatArray = np.floor(np.float32(1200) / median + np.float32(0.5)) / np.float32(10)
    return rates


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Heart rates, one row each: the lane, the sample index of the beat that completes it, beats per minute."""

    lane: IntArray
    index: IntArray
    per_minute: FloatArray


_NO_RATES = Rates(lane=np.empty(0, np.int64), index=np.empty(0, np.int64), per_minute=np.empty(0, np.float32))


class HeartRateBank:
    """A rate about every five seconds and lane, from the latest intervals and never from old ones.

    Args:
        sample_rate_hz: Of every lane.
    """

    def __init__(self, *, sample_rate_hz: float) -> None:
        self._every = round(_EVERY_S * sample_rate_hz)
        self._ring = IntervalRing(keep=_INTERVALS)
        self._next_index: IntArray = np.empty(0, np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; new ones are fresh."""
        self._ring.resize(lanes)
        self._next_index = np.concatenate([self._next_index, np.zeros(lanes - len(self._next_index), np.int64)])

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""
        self.gap(lanes)
        self._next_index[lanes] = 0

    def gap(self, lanes: IntArray) -> None:
        """Forget these lanes' intervals: the next beat's neighbour is unknown."""
        self._ring.clear(lanes)

    def step(self, lanes: IntArray, indices: IntArray, rr_s: FloatArray) -> Rates:
        """Take beats and return the rates that are due.

        An interval that is unknown, or too long to be one, makes a gap: what was measured before it is forgotten.

        Args:
            lanes: Shape (k,); a lane's beats are in the order of time.
            indices: R peaks, samples since the lane's beginning.
            rr_s: Seconds since the beat before; NaN where unknown.
        """
        found = [rates for turn in turns(lanes) for rates in self._turn(lanes[turn], indices[turn], rr_s[turn])]
        if not found:
            return _NO_RATES
        return Rates(
            lane=np.concatenate([rates.lane for rates in found]),
            index=np.concatenate([rates.index for rates in found]),
            per_minute=np.concatenate([rates.per_minute for rates in found]),
        )

    def _turn(self, lanes: IntArray, indices: IntArray, rr_s: FloatArray) -> Iterator[Rates]:
        known = (rr_s >= SHORTEST_RR_S) & (rr_s <= LONGEST_RR_S)  # not so for NaN
        if not known.all():
            self._ring.clear(lanes[~known])
        self._ring.push(lanes, np.where(known, rr_s, np.nan).astype(np.float32))
        due = known & (indices >= self._next_index[lanes])
        if due.any():
            yield self._measured(lanes[due], indices[due])

    def _measured(self, lanes: IntArray, indices: IntArray) -> Rates:
        rates = rates_per_minute(self._ring.latest(lanes, _INTERVALS))
        told = np.isfinite(rates)
        lanes, indices = lanes[told], indices[told]
        self._next_index[lanes] = indices + self._every
        return Rates(lane=lanes, index=indices, per_minute=rates[told])
