from __future__ import annotations

import pytest

from device_agents.delivery import LONGEST_BACKOFF_S, PATIENCE_S, WINDOW_BYTES, WINDOW_ENTRIES, Delivery, full_jitter_s
from edge_sdk.messages import Ack


@pytest.fixture
def delivery() -> Delivery:
    return Delivery(lambda: 0.5)


def ack(watermark: int, *ranges: tuple[int, int]) -> Ack:
    return Ack(epoch="e", watermark=watermark, ranges=ranges)


def test_a_full_window_waits_for_acknowledgements(delivery: Delivery) -> None:
    delivery.sent(range(1, WINDOW_ENTRIES + 1), size_bytes=WINDOW_ENTRIES, now_s=0, alarms=False)
    assert not delivery.has_room()

    delivery.acknowledged(ack(1))

    assert delivery.has_room()


def test_a_window_is_full_by_bytes_too(delivery: Delivery) -> None:
    delivery.sent([1], size_bytes=WINDOW_BYTES, now_s=0, alarms=False)

    assert not delivery.has_room()


def test_what_lies_above_the_watermark_can_be_settled_by_ranges(delivery: Delivery) -> None:
    delivery.sent(range(1, 8), size_bytes=70, now_s=0, alarms=False)

    delivery.acknowledged(ack(2, (4, 5)))

    assert [seq for seq in range(1, 8) if delivery.is_flying(seq)] == [3, 6, 7]


def test_silence_makes_everything_go_out_again_and_patience_grow(delivery: Delivery) -> None:
    delivery.sent([1, 2], size_bytes=20, now_s=0, alarms=False)
    assert not delivery.lost_patience(PATIENCE_S - 0.1)

    assert delivery.lost_patience(PATIENCE_S)
    assert delivery.sent_to(alarms=False) == 0
    delivery.sent([1, 2], size_bytes=20, now_s=PATIENCE_S, alarms=False)

    assert not delivery.lost_patience(2 * PATIENCE_S)
    assert delivery.lost_patience(PATIENCE_S + LONGEST_BACKOFF_S)


def test_nothing_sent_is_nothing_to_lose_patience_over(delivery: Delivery) -> None:
    assert not delivery.lost_patience(1e9)


def test_an_alarm_does_not_move_the_routine_lane(delivery: Delivery) -> None:
    delivery.sent([9], size_bytes=10, now_s=0, alarms=True)

    assert (delivery.sent_to(alarms=True), delivery.sent_to(alarms=False)) == (9, 0)


def test_jitter_is_full_and_bounded() -> None:
    waits = [full_jitter_s(attempt, chance=lambda: 1.0) for attempt in range(40)]

    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_BACKOFF_S
    assert full_jitter_s(5, chance=lambda: 0.0) == 0
