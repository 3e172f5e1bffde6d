"""R peaks that wait until all is known of their beats."""

from __future__ import annotations

import numpy as np

from edge_sdk.lanes import grown
from edge_sdk.tensors import IntArray

_NEVER = np.iinfo(np.int64).max


class WaitingPeaks:
    """A queue of R peaks for each lane.

    Args:
        after: A beat's samples from the R peak on, without which it is not complete.
        patience: Samples from a peak until it is sure that it has no successor; more than ``after``.
        most: How many can wait in one lane.
    """

    def __init__(self, *, after: int, patience: int, most: int) -> None:
        self._after, self._patience, self._most = after, patience, most
        self._peaks: IntArray = np.empty((0, most), np.int64)
        self._first: IntArray = np.empty(0, np.int64)
        self._count: IntArray = np.empty(0, np.int64)
        self._due: IntArray = np.empty(0, np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        fresh = np.arange(len(self._due), lanes)
        self._peaks, self._due = grown(self._peaks, lanes), grown(self._due, lanes)
        self._first, self._count = grown(self._first, lanes), grown(self._count, lanes)
        self.reset(fresh)

    def reset(self, lanes: IntArray) -> None:
        """Forget what waits in these lanes."""
        self._first[lanes] = self._count[lanes] = 0
        self._due[lanes] = _NEVER

    def push(self, lanes: IntArray, r_index: IntArray) -> None:
        """Add peaks, sorted by lane, then time."""
        rank = np.arange(len(lanes)) - np.searchsorted(lanes, lanes)
        count = self._count[lanes] + rank
        self._peaks[lanes, (self._first[lanes] + count) % self._most] = r_index
        self._count[lanes] = count + 1  # of one lane, the last counts
        self._plan(lanes)

    def complete(self, lanes: IntArray, received: IntArray) -> IntArray:
        """Return those of the lanes, of which so many samples are known, whose first beat is complete."""
        return lanes[received >= self._due[lanes]]

    def waiting(self, lanes: IntArray) -> IntArray:
        """Return those of the lanes in which a peak waits."""
        return lanes[self._count[lanes] > 0]

    def pop(self, lanes: IntArray) -> tuple[IntArray, IntArray]:
        """Take the first peak of each of these lanes; return it and its successor, -1 where none is known."""
        first, count = self._first[lanes], self._count[lanes]
        peaks, following = self._peaks[lanes, first], self._peaks[lanes, (first + 1) % self._most]
        self._first[lanes], self._count[lanes] = (first + 1) % self._most, count - 1
        self._plan(lanes)
        return peaks, np.where(count > 1, following, -1)

    def _plan(self, lanes: IntArray) -> None:
        """Work out how many samples must be known for each lane's first beat to be complete."""
        count = self._count[lanes]
        due = self._peaks[lanes, self._first[lanes]] + np.where(count > 1, self._after, self._patience)
        self._due[lanes] = np.where(count > 0, due, _NEVER)
