"""What has arrived, as a watermark and the ranges above it. Pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Range = tuple[int, int]
# An acknowledgement stays small; what is left out is acknowledged later.
MAX_RANGES = 64


@dataclass(frozen=True, slots=True)
class Arrived:
    """Every number up to ``watermark`` is settled, and those in ``ranges`` (inclusive, apart, ascending)."""

    watermark: int
    ranges: tuple[Range, ...] = ()

    def add(self, ranges: Iterable[Range]) -> Arrived:
        """Return what is settled when these are, too."""
        watermark = self.watermark
        joined: list[Range] = []
        for first, last in sorted((*self.ranges, *ranges)):
            if first <= watermark + 1:
                watermark = max(watermark, last)
            elif joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        return Arrived(watermark, tuple(joined))


def as_ranges(numbers: Iterable[int]) -> list[Range]:
    """Return numbers as inclusive ranges, ascending and apart."""
    ranges: list[Range] = []
    for number in sorted(numbers):
        if ranges and number <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def without(holes: Iterable[Range], filled: Iterable[Range]) -> list[Range]:
    """Return the holes less what fills them; both ascending, and the holes apart."""
    fillings = sorted(filled)
    left: list[Range] = []
    for first, last in holes:
        start = first
        for begin, end in fillings:
            if end < start or begin > last:
                continue
            if begin > start:
                left.append((start, begin - 1))
            start = max(start, end + 1)
        if start <= last:
            left.append((start, last))
    return left
