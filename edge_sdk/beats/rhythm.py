"""Rhythm of a beat: its intervals against the patient's own, over seconds, half a minute and minutes.

Ratios of RR intervals, taken against the patient's running values and not those of the training set, are what carries
over from patient to patient: P. de Chazal et al., IEEE Trans Biomed Eng 51(7):1196 (2004); M. Llamedo and
J. P. Martínez, IEEE Trans Biomed Eng 58(3):616 (2011).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_sdk.lanes import grown
from edge_sdk.tensors import FloatArray, IntArray

SHORTEST_RR_S, LONGEST_RR_S = 0.2, 3.0
_FEW, _SOME, _MANY = 10, 40, 300
_PATTERN = 6
_USUAL_RR_S = 0.8
# By how many intervals are known: which of them in order of size are the typical, the slow and the quick one.
_PLACES: IntArray = (np.array([[0.5], [0.9], [0.1]]) * np.maximum(np.arange(_MANY + 1) - 1, 0)).astype(np.int64)
# Likewise, one by how many of the last 40 are known.
_ONE_BY: FloatArray = (1 / np.clip(np.arange(_MANY + 1), 1, _SOME)).astype(np.float32)

RHYTHM_FEATURES = (
    "rr_before_to_last_10",
    "rr_before_to_last_40",
    "rr_before_to_last_300",
    "rr_before_to_slow_300",
    "rr_before_to_quick_300",
    "rr_after_to_last_10",
    "rr_after_to_last_40",
    "rr_after_to_before",
    "rr_after_to_slow_300",
    "rr_both_to_last_40",
    *(f"rr_{back}_back_to_last_40" for back in range(1, _PATTERN + 1)),
)


class RhythmBank:
    """Remembers the last RR intervals of each lane as logarithms of seconds; its state is bounded.

    They are kept three times: the last 40, newest first; all 300 in a ring, to know which is the oldest; and in order
    of size, with infinities after them while there are fewer.
    """

    def __init__(self) -> None:
        self._count: IntArray = np.empty(0, np.int64)
        self._last: FloatArray = np.empty((0, _SOME), np.float32)
        self._ring: FloatArray = np.empty((0, _MANY), np.float32)
        self._ordered: FloatArray = np.empty((0, _MANY), np.float32)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        fresh = np.arange(len(self._count), lanes)
        self._count, self._last = grown(self._count, lanes), grown(self._last, lanes)
        self._ring, self._ordered = grown(self._ring, lanes), grown(self._ordered, lanes)
        self.reset(fresh)

    def reset(self, lanes: IntArray) -> None:
        """Let other patients begin in these lanes."""
        self._count[lanes] = 0
        self._last[lanes] = 0
        self._ring[lanes] = self._ordered[lanes] = np.inf

    def describe(
        self, lanes: IntArray, rr_before_s: NDArray[np.float64], rr_after_s: NDArray[np.float64]
    ) -> FloatArray:
        """Return `RHYTHM_FEATURES` of the next beat of these different lanes, shape (features, b), and remember it.

        Args:
            lanes: Shape (b,).
            rr_before_s: Seconds since the previous R peak; NaN for the first beat.
            rr_after_s: Seconds to the next R peak, or more than `LONGEST_RR_S` when none came.
        """
        known = rr_before_s == rr_before_s  # noqa: PLR0124  # NaN alone differs from itself
        all_known = known.all()
        if not all_known:
            rr_before_s = np.where(known, rr_before_s, _USUAL_RR_S)
        logs = _log_s(rr_before_s, rr_after_s)
        count, last = self._count[lanes], self._last[lanes]
        described = _compare(logs, *self._usual(lanes, count, last, logs[0]))
        if not all_known:
            lanes, count, last, logs = lanes[known], count[known], last[known], logs[:, known]
        self._remember(lanes, logs[0], count, last)
        return described

    def _usual(
        self, lanes: IntArray, count: IntArray, last: FloatArray, before: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return what is usual, shape (5, b), and the latest intervals, newest first, shape (6, b)."""
        known = np.minimum(count, _MANY)
        few = last[:, :_FEW].copy()
        few.sort(axis=1)
        usual = np.empty((5, len(lanes)), np.float32)
        usual[0] = (few[:, _FEW // 2 - 1] + few[:, _FEW // 2]) / 2
        usual[1] = np.add.reduce(last, axis=1) * _ONE_BY[known]
        usual[2:] = self._ordered[lanes, _PLACES[:, known]]
        pattern = last[:, :_PATTERN].T
        if len(count) and np.minimum.reduce(count) < _FEW:
            pattern = np.where(np.arange(_PATTERN)[:, np.newaxis] < count, pattern, usual[1])
            usual[0] = np.where(count < _FEW, _median_of_first(last, count), usual[0])
            usual[:, count == 0] = pattern[:, count == 0] = before[count == 0]
        return usual, pattern

    def _remember(self, lanes: IntArray, newest: FloatArray, count: IntArray, last: FloatArray) -> None:
        self._last[lanes] = np.concatenate([newest[:, np.newaxis], last[:, :-1]], axis=1)
        place = count % _MANY
        oldest = self._ring[lanes, place]
        self._ring[lanes, place] = newest
        self._ordered[lanes] = _exchanged(self._ordered.take(lanes, axis=0), oldest, newest)
        self._count[lanes] = count + 1


def _log_s(rr_before_s: NDArray[np.float64], rr_after_s: NDArray[np.float64]) -> FloatArray:
    """Return the logarithms of the interval before, that after, and the mean of both: shape (3, b)."""
    intervals_s = np.array((rr_before_s, rr_after_s, rr_after_s))
    np.minimum(np.maximum(intervals_s, SHORTEST_RR_S), LONGEST_RR_S, out=intervals_s)
    np.add.reduce(intervals_s[:2], axis=0, out=intervals_s[2])
    intervals_s[2] /= 2
    logs: FloatArray = np.log(intervals_s).astype(np.float32)
    return logs


def _compare(logs: FloatArray, usual: FloatArray, pattern: FloatArray) -> FloatArray:
    before, after, both = logs
    last_40 = usual[1]
    described = np.empty((len(RHYTHM_FEATURES), len(before)), np.float32)
    described[:5] = before - usual
    described[5:7] = after - usual[:2]
    described[7] = after - before
    described[8] = after - usual[3]
    described[9] = both - last_40
    described[10:] = pattern - last_40
    return described


def _median_of_first(last: FloatArray, count: IntArray) -> FloatArray:
    """Return the median of the first ``count`` of each row, at most `_FEW`; anything where there is none."""
    rows, known = np.arange(len(last)), np.clip(count, 1, _FEW)
    few = np.sort(np.where(np.arange(_FEW) < known[:, np.newaxis], last[:, :_FEW], np.inf), axis=1)
    middle: FloatArray = (few[rows, (known - 1) // 2] + few[rows, known // 2]) / 2
    return middle


def _exchanged(ordered: FloatArray, old: FloatArray, new: FloatArray) -> FloatArray:
    """Return ordered rows, shape (b, n), with one occurrence of ``old`` taken out of each and ``new`` put in."""
    others = ordered[:, 1:].copy()
    np.copyto(others, ordered[:, :-1], where=ordered[:, :-1] < old[:, np.newaxis])
    exchanged = np.empty_like(ordered)
    np.minimum(others, new[:, np.newaxis], out=exchanged[:, :-1])
    exchanged[:, -1] = new
    np.maximum(exchanged[:, 1:], others, out=exchanged[:, 1:])
    return exchanged
