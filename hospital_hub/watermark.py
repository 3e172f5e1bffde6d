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


def gaps(ranges: Iterable[Range], *, first: int) -> list[Range]:
    """Return what lies between the ranges, beginning at ``first``."""
    missing, expected = [], first
    for start, end in sorted(ranges):
        if start > expected:
            missing.append((expected, start - 1))
        expected = max(expected, end + 1)
    return missing
