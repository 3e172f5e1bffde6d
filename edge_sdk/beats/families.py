"""A patient's beats, sorted into families of like shape while they come, without labels.

What a family usually does says much about its members: ventricular beats look alike and come early, normal ones look
alike and come on time, and a supraventricular beat looks like the normal ones but comes early. Sorting beats by shape
while streaming goes back to the Argus system (F. M. Nolle et al., Comput Cardiol 1972).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.beats.shapes import product, size
from edge_sdk.lanes import grown
from edge_sdk.tensors import FloatArray, IntArray

_MOST = 8
_ALIKE = 0.9
_FORGET_AFTER = 300.0
_LEAST_WEIGHT = np.float32(0.08)
_UNKNOWN = np.float32(-2)

# A family is a row of float32: how many members it has, older ones counting less; the size of its shape; and running
# means of how early they came, as log ratio of the interval before them to the usual, of the interval after them
# likewise, of the level about which their QRS complex was, in mV, and of that complex about its level.
COUNT, SIZE, EARLY, PAUSE, LEVEL, SHAPE = range(6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Members:
    """Beats as members of their families, one row each.

    Attributes:
        likeness: Correlation with the family before it learned from the beat; with the best one if the family is new.
        family: The family before it learned, shape (b, 5 + time), see `COUNT`; if new, what the beat says.
        usual: Likewise the largest family.
        is_usual: Whether that is the beat's own.
        total: How many beats are remembered.
    """

    likeness: FloatArray
    family: FloatArray
    usual: FloatArray
    is_usual: NDArray[np.bool_]
    total: FloatArray


class FamilyBank:
    """At most eight families a lane, the oldest first; the smallest gives way to a new one. No count is no family.

    Args:
        time: Samples of a shape.
    """

    def __init__(self, *, time: int) -> None:
        self._known: FloatArray = np.empty((0, _MOST, SHAPE + time), np.float32)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        fresh = np.arange(len(self._known), lanes)
        self._known = grown(self._known, lanes)
        self.reset(fresh)

    def reset(self, lanes: IntArray) -> None:
        """Let other patients begin in these lanes."""
        self._known[lanes] = 0
        self._known[lanes, :, SIZE] = 1

    def sort(self, lanes: IntArray, beats: FloatArray) -> Members:
        """Sort the next beat of each of these different lanes, and let its family learn from it.

        Args:
            lanes: Shape (b,).
            beats: Families of one, shape (b, 5 + time).
        """
        known, rows = self._known.take(lanes, axis=0), np.arange(len(lanes))
        likeness = _likeness(known, beats)
        own = likeness.argmax(axis=1)
        best = likeness[rows, own]
        new = (~(best > _ALIKE)).nonzero()[0]
        if len(new):
            self._known[lanes[new]] = known[new] = _joined(known[new], beats[new])
            own[new] = _MOST - 1
            best[new] = np.where(best[new] == _UNKNOWN, 0, best[new])
        counts = known[:, :, COUNT]
        usual = counts.argmax(axis=1)
        family, total = known[rows, own], np.add.reduce(counts, axis=1)
        self._known[lanes, own] = _learned(family, beats)
        self._fade(lanes, total)
        return Members(likeness=best, family=family, usual=known[rows, usual], is_usual=usual == own, total=total)

    def _fade(self, lanes: IntArray, total: FloatArray) -> None:
        """Let the past count less, so that families follow the patient."""
        tired = total + 1 > _FORGET_AFTER
        if tired.any():
            self._known[lanes[tired], :, COUNT] /= 2


def _likeness(known: FloatArray, beats: FloatArray) -> FloatArray:
    """Return the correlations of beats with the families of their lanes, shape (b, 8)."""
    likeness = product(known[:, :, SHAPE:], beats[:, np.newaxis, SHAPE:])
    likeness /= known[:, :, SIZE] * beats[:, SIZE, np.newaxis]
    likeness[known[:, :, COUNT] == 0] = _UNKNOWN
    return likeness


def _joined(known: FloatArray, newest: FloatArray) -> FloatArray:
    """Return families with the smallest, the oldest of those, replaced by a new one at the end."""
    rows, places = np.arange(len(known))[:, np.newaxis], np.arange(_MOST)
    smallest = known[:, :, COUNT].argmin(axis=1)[:, np.newaxis]
    joined: FloatArray = known[rows, np.minimum(places + (places >= smallest), _MOST - 1)]
    joined[:, -1] = newest
    return joined


def _learned(family: FloatArray, newest: FloatArray) -> FloatArray:
    """Return families with one member more, each shape (b, 5 + time)."""
    count = family[:, COUNT] + 1
    weight = np.maximum(_LEAST_WEIGHT, 1 / count)
    learned: FloatArray = newest - family
    learned *= weight[:, np.newaxis]
    learned += family
    learned[:, COUNT], learned[:, SIZE] = count, size(learned[:, SHAPE:])
    return learned
