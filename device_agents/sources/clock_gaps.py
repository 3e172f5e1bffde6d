"""What a counter tells: which samples or messages never came, which came twice, and that a wearable began anew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where something that was counted belongs.

    Attributes:
        index: Of its first unit that is new, since the stream began.
        lost: Units before it that never came.
        repeated: Units at its beginning that came before, or were given up as lost: leave them out.
        restarted: The counter began anew, and with it ``index``.
    """

    index: int
    lost: int = 0
    repeated: int = 0
    restarted: bool = False


class GapDetector:
    """Follows one counter. A sequence number counts messages, of one unit each; a sample counter, samples.

    Args:
        modulus: The counter begins again at 0 after ``modulus - 1``.
        reach: Units that may be lost at once, or come late; what is further from the expected is a new beginning.
    """

    def __init__(self, *, modulus: int = 2**64, reach: int) -> None:
        self._modulus, self._reach = modulus, min(reach, modulus // 2 - 1)
        self._expected: int | None = None
        self._index = 0

    def place(self, counter: int, units: int = 1) -> Placement:
        """Place what begins at ``counter`` and is so many units long."""
        if self._expected is None:
            return self._follow(counter, units, Placement(index=0))
        ahead = (counter - self._expected) % self._modulus
        if ahead <= self._reach:
            return self._follow(counter, units, Placement(index=self._index + ahead, lost=ahead))
        behind = self._modulus - ahead
        if behind <= self._reach:
            repeated = min(behind, units)
            if repeated == units:
                return Placement(index=self._index, repeated=repeated)
            return self._follow(counter, units, Placement(index=self._index, repeated=repeated))
        return self._follow(counter, units, Placement(index=0, restarted=True))

    def _follow(self, counter: int, units: int, placed: Placement) -> Placement:
        self._expected = (counter + units) % self._modulus
        self._index = placed.index + units - placed.repeated
        return placed
