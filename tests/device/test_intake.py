from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from device_agents.intake import AHEAD_S, Closed, Intake, Opened
from edge_sdk.errors import SignalError
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat

RATE_HZ = 100
FORMAT = SignalFormat(kind="ecg", unit="mV", channels=("II",), sample_rate_hz=RATE_HZ)
LIMIT = round(AHEAD_S * RATE_HZ)


def block(start_index: int, count: int = RATE_HZ) -> SampleBlock:
    return SampleBlock(start_index=start_index, start_time_ns=0, samples=np.zeros((count, 1), np.float32))


def opened(*names: str, clock: ClockQuality = ClockQuality.SYNCHRONIZED, patient: bool = False) -> Intake:
    intake = Intake()
    for name in names:
        intake.open(name, format=FORMAT, clock=clock, start_time_ns=0, subject=name, patient=patient)
    return intake


def taken(intake: Intake) -> list[tuple[str, object]]:
    return [(name, item) for name, item, _ in intake.take(timeout_s=0)]


def test_what_comes_is_taken_once_and_in_order() -> None:
    intake = opened("a", "b")
    blocks = [block(0), block(100)]
    intake.push("a", blocks[0])
    intake.push("b", blocks[0])
    intake.push("a", blocks[1])
    intake.close("a", "over")

    found = taken(intake)

    assert [name for name, _ in found] == ["a", "b", "a", "b", "a", "a"]
    assert isinstance(found[0][1], Opened)
    assert [item for name, item in found[2:] if name == "a"] == [*blocks, Closed("over")]
    assert taken(intake) == []


def test_of_a_stream_that_cannot_wait_the_oldest_blocks_are_given_up_and_counted() -> None:
    intake = opened("late", "other")
    many = [block(start) for start in range(0, 3 * LIMIT, RATE_HZ)]
    intake.push("other", block(0))
    for piece in many:
        intake.push("late", piece)

    kept = [item for name, item in taken(intake) if name == "late" and isinstance(item, SampleBlock)]

    assert kept == many[-len(kept) :]
    assert sum(len(piece.samples) for piece in kept) == LIMIT
    assert intake.dropped == {"late": len(many) - len(kept)}


@pytest.mark.parametrize(
    ("clock", "patient"), [(ClockQuality.REPLAYED, False), (ClockQuality.SYNCHRONIZED, True)], ids=["replay", "pulled"]
)
def test_a_stream_that_can_wait_does(clock: ClockQuality, patient: bool) -> None:  # noqa: FBT001
    intake = opened("patient", clock=clock, patient=patient)
    many = [block(start) for start in range(0, 3 * LIMIT, RATE_HZ)]
    writer = threading.Thread(target=lambda: [intake.push("patient", piece) for piece in many])
    writer.start()
    found: list[object] = []
    deadline_s = time.monotonic() + 10
    while len(found) < 1 + len(many) and time.monotonic() < deadline_s:
        found += [item for _, item, _ in intake.take(timeout_s=0.1)]
    writer.join(10)

    assert found[1:] == many
    assert not intake.dropped


def test_nobody_waits_when_it_is_shut() -> None:
    intake = opened("patient", patient=True)
    writer = threading.Thread(target=lambda: [intake.push("patient", block(start)) for start in range(0, 5000, 100)])
    writer.start()
    intake.shut()
    writer.join(10)

    assert not writer.is_alive()


def test_a_name_is_used_once_at_a_time() -> None:
    intake = opened("a")
    with pytest.raises(SignalError, match="'a' is open already"):
        intake.open("a", format=FORMAT, clock=ClockQuality.SYNCHRONIZED, start_time_ns=0)
    intake.close("a", "over")
    intake.open("a", format=FORMAT, clock=ClockQuality.SYNCHRONIZED, start_time_ns=0)

    assert [name for name, _ in taken(intake)] == ["a", "a", "a"]


def test_a_stream_that_is_not_open_is_refused() -> None:
    with pytest.raises(SignalError, match="no stream 'a' is open"):
        opened().push("a", block(0))
    with pytest.raises(SignalError, match="no stream 'a' is open"):
        opened().close("a", "over")
