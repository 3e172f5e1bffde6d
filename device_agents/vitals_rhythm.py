"""Simple measures of rhythm for many streams at once: how much and how irregularly the intervals between beats vary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from device_agents.vitals import LONGEST_RR_S, SHORTEST_RR_S, IntervalRing, turns
from edge_sdk.codes import LOCAL, LOINC, Code
from edge_sdk.tensors import FloatArray, IntArray

SDNN = Code(LOINC, "80404-7", "R-R interval.standard deviation (Heart rate variability)")
RMSSD = Code(LOCAL, "rmssd", "Root mean square of successive R-R differences")
IRREGULAR_SHARE = Code(LOCAL, "irregular-share", "Share of irregular R-R intervals")

INTERVALS = 64
_EVERY_S = 60.0
# Fewer intervals than half of those looked at would say more about chance than about the patient.
_ENOUGH = 0.5
# An interval repeats an earlier one when they differ by less than this; sinus rhythm breathes by less.
_ALIKE = 0.1
# Looking three intervals back, bigeminy and trigeminy repeat themselves; fibrillation does not.
_BACK = 3


def irregular_share(rr_s: FloatArray) -> FloatArray:
    """Return the share of intervals that differ by a tenth or more from each of the three before, shape (k,).

    Args:
        rr_s: Intervals, shape (k, n), newest first; NaN where there is none.

    Returns:
        NaN where fewer than half of the intervals have three known ones before them.
    """
    newer = rr_s[:, :-_BACK]
    odd, known = np.ones(newer.shape, np.bool_), np.ones(newer.shape, np.bool_)
    for back in range(1, _BACK + 1):
        change = np.abs(newer / rr_s[:, back : back + newer.shape[1]] - 1)
        odd &= change >= _ALIKE
        known &= change >= 0  # not so for NaN
    count = known.sum(axis=1)
    share = (odd & known).sum(axis=1) / np.maximum(count, 1)
    told: FloatArray = np.where(count >= _ENOUGH * newer.shape[1], share, np.nan).astype(np.float32)
    return told


@dataclass(frozen=True, kw_only=True, slots=True)
class Rhythms:
    """Measures of rhythm, one row each.

    Attributes:
        lane: The lane.
        index: Sample index of the beat that completes it.
        sdnn_ms: Standard deviation of the intervals, ms.
        rmssd_ms: Root mean square of the differences between neighbours, ms.
        irregular: Share of intervals that repeat none of the three before.
    """

    lane: IntArray
    index: IntArray
    sdnn_ms: FloatArray
    rmssd_ms: FloatArray
    irregular: FloatArray


_COLUMNS = tuple(field.name for field in fields(Rhythms))
_NO_RHYTHMS = Rhythms(
    lane=np.empty(0, np.int64),
    index=np.empty(0, np.int64),
    sdnn_ms=np.empty(0, np.float32),
    rmssd_ms=np.empty(0, np.float32),
    irregular=np.empty(0, np.float32),
)


class RhythmBank:
    """Measures of each lane's latest 64 intervals, about once a minute.

    Args:
        sample_rate_hz: Of every lane.
    """

    def __init__(self, *, sample_rate_hz: float) -> None:
        self._every = round(_EVERY_S * sample_rate_hz)
        self._ring = IntervalRing(keep=INTERVALS)
        self._next_index: IntArray = np.empty(0, np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; new ones are fresh."""
        self._ring.resize(lanes)
        more = np.full(lanes - len(self._next_index), self._every, np.int64)
        self._next_index = np.concatenate([self._next_index, more])

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""
        self._ring.clear(lanes)
        self._next_index[lanes] = self._every

    def step(self, lanes: IntArray, indices: IntArray, rr_s: FloatArray) -> Rhythms:
        """Take beats and return the measures that are due.

        Args:
            lanes: Shape (k,); a lane's beats are in the order of time.
            indices: R peaks, samples since the lane's beginning.
            rr_s: Seconds since the beat before; NaN where unknown, or where one of the two is no normal beat.
        """
        found = [rhythms for turn in turns(lanes) for rhythms in self._turn(lanes[turn], indices[turn], rr_s[turn])]
        if not found:
            return _NO_RHYTHMS
        return Rhythms(**{name: np.concatenate([getattr(some, name) for some in found]) for name in _COLUMNS})

    def _turn(self, lanes: IntArray, indices: IntArray, rr_s: FloatArray) -> Iterator[Rhythms]:
        known = (rr_s >= SHORTEST_RR_S) & (rr_s <= LONGEST_RR_S)  # not so for NaN
        self._ring.push(lanes, np.where(known, rr_s, np.nan).astype(np.float32))
        due = np.flatnonzero(indices >= self._next_index[lanes])
        if len(due):
            yield self._measured(lanes[due], indices[due])

    def _measured(self, lanes: IntArray, indices: IntArray) -> Rhythms:
        intervals = self._ring.latest(lanes, INTERVALS)
        irregular = irregular_share(intervals)
        told = np.isfinite(irregular)
        lanes, indices, intervals, irregular = lanes[told], indices[told], intervals[told], irregular[told]
        self._next_index[lanes] = indices + self._every
        return Rhythms(
            lane=lanes,
            index=indices,
            sdnn_ms=1000 * np.nanstd(intervals, axis=1),
            rmssd_ms=1000 * np.sqrt(np.nanmean(np.diff(intervals, axis=1) ** 2, axis=1)),
            irregular=irregular,
        )
