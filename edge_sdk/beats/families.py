"""A patient's beats, sorted into families of like shape while they come, without labels.

What a family usually does says much about its members: ventricular beats look alike and come early, normal ones look
alike and come on time, and a supraventricular beat looks like the normal ones but comes early. Sorting beats by shape
while streaming goes back to the Argus system (F. M. Nolle et al., Comput Cardiol 1972).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge_sdk.tensors import FloatArray

_MOST = 8
_ALIKE = 0.9
_FORGET_AFTER = 300.0
_TINY = 1e-3


@dataclass(slots=True, eq=False)
class Family:
    """Beats of like shape.

    Attributes:
        shape: Their running mean around the QRS complex, in mV.
        count: How many, older ones counting less.
        early: Running mean of how early they came, as log ratio of the interval before them to the usual.
        pause: Likewise of the interval after them.
        level: Their shape about its mean.
        size: Of their shape; see `size`.
    """

    shape: FloatArray
    count: float = 0.0
    early: float = 0.0
    pause: float = 0.0
    level: FloatArray = field(init=False)
    size: float = field(init=False)

    def __post_init__(self) -> None:
        self._measure()

    def learn(self, shape: FloatArray, early: float, pause: float) -> None:
        """Take in one more member."""
        self.count += 1
        weight = max(0.08, 1 / self.count)
        self.shape = self.shape + np.float32(weight) * (shape - self.shape)
        self.early += weight * (early - self.early)
        self.pause += weight * (pause - self.pause)
        self._measure()

    def likeness(self, shape: FloatArray) -> float:
        """Return its correlation with a shape."""
        return float(_about_mean(shape) @ self.level) / (size(shape) * self.size)

    def _measure(self) -> None:
        self.level, self.size = _about_mean(self.shape), size(self.shape)


class Families:
    """At most eight families; the smallest gives way to a new one."""

    def __init__(self) -> None:
        self._known: list[Family] = []

    @property
    def largest(self) -> Family:
        """The family of most beats; there is one once a beat was sorted."""
        return max(self._known, key=lambda family: family.count)

    @property
    def total(self) -> float:
        """How many beats are remembered."""
        return sum(family.count for family in self._known)

    def sort(self, shape: FloatArray) -> tuple[Family, float]:
        """Return the family that a beat belongs to, a new one if it resembles none, and the likeness (-1 to 1)."""
        level, height = _about_mean(shape), size(shape)
        likeness = [float(level @ family.level) / (height * family.size) for family in self._known]
        best = int(np.argmax(likeness)) if likeness else -1
        if best >= 0 and likeness[best] > _ALIKE:
            return self._known[best], likeness[best]
        if len(self._known) == _MOST:
            self._known.remove(min(self._known, key=lambda family: family.count))
        self._known.append(Family(shape.copy()))
        return self._known[-1], max(likeness, default=0.0)

    def fade(self) -> None:
        """Let the past count less, so that families follow the patient."""
        if self.total > _FORGET_AFTER:
            for family in self._known:
                family.count /= 2


def correlation(a: FloatArray, b: FloatArray) -> float:
    """Return how alike two shapes of (time,) are whatever their height: -1 to 1."""
    return float(_about_mean(a) @ _about_mean(b)) / (size(a) * size(b))


def unlikeness(likeness: float) -> float:
    """Return how much a correlation lacks to 1, as a logarithm: from 0.98 to 0.99 is about as far as from 0 to 0.5.

    It is 0 for a likeness of 0.95 and lies between -2.8 and 3.7.
    """
    return float(np.log((1 - min(likeness, 1.0) + 0.003) / 0.05))


def size(part: FloatArray) -> float:
    """Return the Euclidean norm about the mean, never 0."""
    level = _about_mean(part)
    return float(np.sqrt(level @ level)) + _TINY


def _about_mean(part: FloatArray) -> FloatArray:
    # The same bits as part.mean(), at a third of its time: it is called some 30 times a beat.
    level: FloatArray = part - np.float32(np.add.reduce(part) / len(part))
    return level
