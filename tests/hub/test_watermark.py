from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hospital_hub.watermark import Arrived, Range, as_ranges, without

NUMBERS = st.sets(st.integers(1, 60))
RANGES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1])))


def members(ranges: list[Range] | tuple[Range, ...]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def settled(arrived: Arrived) -> set[int]:
    return set(range(1, arrived.watermark + 1)) | members(arrived.ranges)


@given(base=st.integers(0, 40), deliveries=st.lists(RANGES))
def test_what_has_arrived_is_known_in_whatever_order_it_came(base: int, deliveries: list[list[Range]]) -> None:
    arrived = Arrived(base)
    for ranges in deliveries:
        arrived = arrived.add(ranges)

    everything = set(range(1, base + 1)) | members([item for ranges in deliveries for item in ranges])
    assert settled(arrived) == everything
    assert arrived.watermark + 1 not in everything


@given(deliveries=st.lists(RANGES))
def test_the_ranges_above_the_watermark_ascend_and_stay_apart(deliveries: list[list[Range]]) -> None:
    arrived = Arrived(0)
    for ranges in deliveries:
        arrived = arrived.add(ranges)

    ends = [arrived.watermark, *(edge for item in arrived.ranges for edge in item)]
    assert ends == sorted(ends)
    assert all(after[0] > before[1] + 1 for before, after in zip(arrived.ranges, arrived.ranges[1:], strict=False))


@given(numbers=NUMBERS)
def test_numbers_become_the_fewest_ranges(numbers: set[int]) -> None:
    ranges = as_ranges(numbers)

    assert members(ranges) == numbers
    assert len(ranges) == sum(number - 1 not in numbers for number in numbers)


@given(holes=NUMBERS, filled=RANGES)
def test_what_fills_a_hole_is_not_missing(holes: set[int], filled: list[Range]) -> None:
    assert members(without(as_ranges(holes), filled)) == holes - members(filled)
