from __future__ import annotations

import dataclasses
import itertools
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.alarm_rules import (
    AlarmPriority,
    FastRule,
    HighRule,
    IrregularRule,
    LostRule,
    LowRule,
    PauseRule,
    RunRule,
    SlowRule,
)
from edge_sdk.alarm_standard import STANDARD_RULES
from tests.device.alarm_scripts import RATE_HZ, Event, Script, at, beats_every, play

ASYSTOLE = PauseRule(name="asystole", after_s=4.0, suppresses=("bradycardia",))
BRADYCARDIA = SlowRule(name="bradycardia", begin_per_minute=60, end_per_minute=65)
TACHYCARDIA = FastRule(name="tachycardia", begin_per_minute=100, end_per_minute=95)
RUN = RunRule(name="run", label="V")
LOST = LostRule(name="lost")
DESATURATION = LowRule(name="desaturation", quantity="spo2", begin=88, end=90, delay_s=10)
FULL = (*STANDARD_RULES, DESATURATION, HighRule(name="too-much", quantity="spo2", begin=99, end=98, latching=True))
# What a monitor must keep (IEC 60601-2-27, ANSI/AAMI EC13).
ALARM_WITHIN_S = 10.0
LOSS_ALARM_WITHIN_S = 5.0


def labelled(letters: str) -> Script:
    """One beat a second; ``?`` is one that could not be classified."""
    beats = [(at(second), "NV?".index(letter) % 2, letter != "?") for second, letter in enumerate(letters)]
    return Script(length=at(len(letters)), beats=beats)


def told(rule: str, events: list[Event]) -> list[tuple[str, float]]:
    return [(event.state, event.at_s) for event in events if event.rule == rule]


def values(low: float, *, start_s: int, end_s: int) -> list[tuple[int, float]]:
    return [(at(second), low) for second in range(start_s, end_s)]


def test_an_asystole_is_told_when_no_beat_came_for_so_long_and_ends_with_the_second_beat() -> None:
    beats = beats_every(1, start_s=0, end_s=10) + beats_every(1, start_s=20, end_s=25)

    (events,) = play([ASYSTOLE], Script(length=at(30), beats=beats))

    assert told("asystole", events)[:2] == [("begin", 13), ("end", 21)]
    assert [event.value for event in events[:2]] == [4, 11]


def test_an_asystole_from_the_first_sample_on_is_told() -> None:
    (events,) = play([ASYSTOLE], Script(length=at(30)))

    assert told("asystole", events) == [("begin", 4), ("end", 30)]


def test_one_beat_alone_does_not_end_an_asystole() -> None:
    lone = [(at(10), 0, True), (at(15), 0, True)]

    (events,) = play([ASYSTOLE], Script(length=at(20), beats=lone))

    assert told("asystole", events) == [("begin", 4), ("end", 20)]


@pytest.mark.parametrize("per_minute", [30, 35, 40, 50])
def test_a_bradycardia_is_told_within_ten_seconds_after_80_per_minute(per_minute: int) -> None:
    slow = msgspec.structs.replace(BRADYCARDIA, delay_s=2.0)
    before = beats_every(0.75, start_s=0, end_s=30)
    beats = before + beats_every(60 / per_minute, start_s=before[-1][0] / RATE_HZ + 60 / per_minute, end_s=60)

    (events,) = play([slow, TACHYCARDIA], Script(length=at(60), beats=beats))

    ((state, at_s), _) = told("bradycardia", events)
    assert state == "begin"
    assert at_s - before[-1][0] / RATE_HZ <= ALARM_WITHIN_S
    assert told("tachycardia", events) == []


@pytest.mark.parametrize("per_minute", [110, 120, 180, 200, 250])
def test_a_tachycardia_is_told_within_ten_seconds_after_80_per_minute(per_minute: int) -> None:
    fast = msgspec.structs.replace(TACHYCARDIA, delay_s=3.0)
    beats = beats_every(0.75, start_s=0, end_s=30) + beats_every(60 / per_minute, start_s=30, end_s=60)

    (events,) = play([fast, BRADYCARDIA], Script(length=at(60), beats=beats))

    ((state, at_s), _) = told("tachycardia", events)
    assert state == "begin"
    assert at_s - 30 <= ALARM_WITHIN_S
    assert told("bradycardia", events) == []


def test_a_fast_rate_shorter_than_the_delay_is_not_told() -> None:
    fast = msgspec.structs.replace(TACHYCARDIA, delay_s=3.0)
    beats = (
        beats_every(0.75, start_s=0, end_s=30)
        + beats_every(0.4, start_s=30, end_s=31.5)
        + beats_every(0.75, start_s=31.5, end_s=60)
    )

    (events,) = play([fast], Script(length=at(60), beats=beats))

    assert events == []


def test_a_rate_between_the_limits_neither_begins_nor_ends_an_alarm() -> None:
    intervals = [60 / rate for rate in (75, 98, 104, 98, 104, 98, 75, 98, 75) for _ in range(10)]
    beats = [(at(time), 0, True) for time in itertools.accumulate(intervals)]

    (events,) = play([TACHYCARDIA], Script(length=at(90), beats=beats))

    (begin, end) = events
    assert sum(intervals[:20]) < begin.at_s < sum(intervals[:30])
    assert sum(intervals[:60]) < end.at_s < sum(intervals[:70])
    assert begin.value > 100
    assert end.value < 95


def test_an_asystole_takes_the_place_of_a_bradycardia_that_comes_back_after_it() -> None:
    beats = beats_every(1.5, start_s=0, end_s=20) + beats_every(1.5, start_s=30, end_s=60)

    (events,) = play([ASYSTOLE, BRADYCARDIA], Script(length=at(60), beats=beats))

    last = max(when for when, *_ in beats if when < at(20)) / RATE_HZ
    (begins, ends, *_) = told("asystole", events)
    assert begins == ("begin", last + 4)
    first, stopped, again, _ = told("bradycardia", events)
    assert first[1] < stopped[1] == begins[1]
    assert again == ("begin", pytest.approx(ends[1], abs=3))
    assert again[1] >= ends[1]


def test_a_lost_signal_is_told_within_five_seconds_and_ends_when_it_stays_good() -> None:
    beats = beats_every(1, start_s=0, end_s=60)
    script = Script(length=at(60), beats=beats, quality=[(at(20), False), (at(40), True)])

    (events,) = play(STANDARD_RULES, script)

    begins, ends = told("signal-lost", events)
    assert begins[0] == "begin"
    assert 20 < begins[1] <= 20 + LOSS_ALARM_WITHIN_S
    assert ends == ("end", 45)
    assert {event.rule for event in events} == {"signal-lost"}


def test_a_lost_signal_takes_the_place_of_every_other_alarm() -> None:
    script = Script(length=at(60), beats=beats_every(0.4, start_s=0, end_s=60), quality=[(at(30), False)])

    (events,) = play([TACHYCARDIA, LOST], script)

    assert told("tachycardia", events)[-1] == ("end", 33)
    assert told("lost", events) == [("begin", 33), ("end", 60)]


def test_no_other_alarm_begins_while_the_signal_is_bad() -> None:
    script = Script(length=at(60), quality=[(at(2), False), (at(50), True)])

    (events,) = play([*STANDARD_RULES], script)

    assert told("asystole", events) == [("begin", 55), ("end", 60)]


def test_a_moment_of_bad_signal_is_not_told() -> None:
    blips = [(at(second + part), part > 0) for second in range(10, 50, 10) for part in (0, 0.5)]
    script = Script(length=at(60), beats=beats_every(1, start_s=0, end_s=60), quality=blips)

    (events,) = play(STANDARD_RULES, script)

    assert events == []


def test_a_signal_that_comes_and_goes_is_lost() -> None:
    comes_and_goes = [(at(second + part), part > 0) for second in range(10, 50, 4) for part in (0, 1)]

    (events,) = play(STANDARD_RULES, Script(length=at(60), quality=[(0, False), *comes_and_goes]))

    assert told("signal-lost", events)[0] == ("begin", 3)
    assert ("begin", 10) not in told("asystole", events)


@given(
    edges=st.lists(st.integers(1, 900), max_size=12, unique=True).map(sorted),
    good=st.booleans(),
)
def test_without_beats_some_alarm_is_on_within_ten_seconds_however_the_signal_comes_and_goes(
    edges: list[int],
    good: bool,  # noqa: FBT001
) -> None:
    changes = [(edge * 10, (number % 2 == 0) is good) for number, edge in enumerate(edges)]

    (events,) = play(STANDARD_RULES, Script(length=at(90), quality=[(0, good is False), *changes]))

    on: set[str] = set()
    silent_since_s = 0.0
    for event in events:
        if not on:
            assert event.at_s - silent_since_s <= ALARM_WITHIN_S
        on = on - {event.rule} if event.state == "end" else on | {event.rule}
        silent_since_s = event.at_s
    assert silent_since_s == 90  # what is on ends with the stream


@pytest.mark.parametrize(
    ("letters", "begins_at"),
    [
        ("NNVVN", []),
        ("NVVV", [3]),
        ("VVVVVVVV", [2]),
        ("VVVNVVV", [2]),
        ("VVVNNVVV", [2]),
        ("VVVNNNVVV", [2, 8]),
        ("VNVNVNV", []),
        ("VV?VN", []),
        ("VV?VVV", [5]),
        ("VVV???????VVV", [2]),
        ("VVVNN?VVV", [2]),
    ],
)
def test_one_run_is_one_alarm(letters: str, begins_at: list[int]) -> None:
    (events,) = play([RUN], labelled(letters))

    assert [event.at_s for event in events if event.state == "begin"] == begins_at


def test_a_run_ends_with_the_third_other_beat() -> None:
    (events,) = play([RUN], labelled("NVVVVNVNNNN"))

    assert told("run", events) == [("begin", 3), ("end", 9)]
    assert events[-1].value == 4


def test_a_late_label_from_a_time_of_bad_signal_counts_for_nothing() -> None:
    script = dataclasses.replace(labelled("VVVVV"), quality=[(150, False), (250, True)])

    (events,) = play([RUN], script)

    assert events == []


def test_an_alarm_that_nobody_acknowledges_rises_to_high_priority() -> None:
    rule = msgspec.structs.replace(TACHYCARDIA, priority=AlarmPriority.LOW, escalate_after_s=10.0)

    (events,) = play([rule], Script(length=at(60), beats=beats_every(0.5, start_s=0, end_s=60)))

    begun = events[0].at_s
    assert told("tachycardia", events) == [
        ("begin", begun),
        ("escalate", begun + 10),
        ("escalate", begun + 20),
        ("end", 60),
    ]
    assert [event.priority for event in events] == ["low", "medium", "high", "high"]
    assert {event.since_s for event in events} == {begun}


def test_an_acknowledged_alarm_does_not_rise() -> None:
    rule = msgspec.structs.replace(TACHYCARDIA, escalate_after_s=10.0)
    beats = beats_every(0.5, start_s=0, end_s=60)

    (events,) = play([rule], Script(length=at(60), beats=beats, acknowledged=[(at(8), 0)]))

    assert [event.state for event in events] == ["begin", "end"]


def test_a_latching_alarm_stays_until_somebody_acknowledges_it() -> None:
    rule = msgspec.structs.replace(ASYSTOLE, latching=True)
    beats = beats_every(1, start_s=0, end_s=10) + beats_every(1, start_s=20, end_s=60)

    alone, seen, seen_before = play(
        [rule],
        Script(length=at(60), beats=beats),
        Script(length=at(60), beats=beats, acknowledged=[(at(40), 0)]),
        Script(length=at(60), beats=beats, acknowledged=[(at(15), 0)]),
    )

    assert told("asystole", alone) == [("begin", 13), ("end", 60)]
    assert told("asystole", seen) == [("begin", 13), ("end", 40)]
    assert told("asystole", seen_before) == [("begin", 13), ("end", 21)]


def test_a_desaturation_is_told_when_it_lasts_and_ends_above_the_other_limit() -> None:
    low = (
        values(95, start_s=0, end_s=20)
        + values(86, start_s=20, end_s=40)
        + values(89, start_s=40, end_s=60)
        + values(91, start_s=60, end_s=80)
    )

    (events,) = play([DESATURATION], Script(length=at(80), values=low))

    assert told("desaturation", events) == [("begin", 30), ("end", 60)]
    assert [event.value for event in events] == [86, 91]


@pytest.mark.parametrize("between", [89.0, math.nan])
def test_a_desaturation_that_is_interrupted_begins_to_count_anew(between: float) -> None:
    low = (
        values(86, start_s=0, end_s=8)
        + values(between, start_s=8, end_s=10)
        + values(86, start_s=10, end_s=18)
        + values(95, start_s=18, end_s=40)
    )

    (events,) = play([DESATURATION], Script(length=at(40), values=low))

    assert events == []


def test_beats_without_a_pattern_are_irregular_and_bigeminy_is_not() -> None:
    rule = IrregularRule(name="irregular", begin_share=0.4, end_share=0.3)
    intervals = [0.5 + 0.07 * ((number * number * 7) % 11) for number in range(200)]
    irregular = [(at(sum(intervals[:number])), 0, True) for number in range(200)]
    bigeminy = [(at(0.8 * number - 0.3 * (number % 2)), number % 2, True) for number in range(200)]

    first, second = play([rule], Script(length=at(120), beats=irregular), Script(length=at(120), beats=bigeminy))

    assert told("irregular", first)[0][0] == "begin"
    assert second == []


moments = st.lists(st.integers(0, 2400), max_size=40, unique=True).map(sorted)
scripts = st.builds(
    Script,
    length=st.integers(500, 2600),
    beats=st.lists(
        st.tuples(st.integers(5, 140), st.integers(0, 1), st.sampled_from([True, True, True, False])), max_size=60
    ).map(
        lambda steps: [
            (sum(step for step, *_ in steps[: number + 1]), label, usable)
            for number, (_, label, usable) in enumerate(steps)
        ]
    ),
    quality=moments.map(lambda times: [(when, number % 2 == 1) for number, when in enumerate(times[::8])]),
    values=moments.map(lambda times: [(when, 80.0 + when % 21) for when in times]),
    acknowledged=moments.map(lambda times: [(when, when % len(FULL)) for when in times[::10]]),
    begins=st.integers(0, 40),
)


@settings(deadline=None, max_examples=60)
@given(several=st.lists(scripts, min_size=2, max_size=5))
def test_what_a_stream_tells_does_not_depend_on_the_others(several: list[Script]) -> None:
    together = play(FULL, *several)

    for script, events in zip(several, together, strict=True):
        (alone,) = play(FULL, script)
        assert str(alone) == str(events)  # as words, since NaN differs from itself


@settings(deadline=None, max_examples=60)
@given(script=scripts)
def test_every_alarm_that_begins_ends_and_only_once(script: Script) -> None:
    (events,) = play(FULL, script)

    on: set[str] = set()
    for event in events:
        assert (event.rule in on) is (event.state != "begin")
        on = on ^ {event.rule} if event.state != "escalate" else on
    assert not on


@settings(deadline=None, max_examples=60)
@given(script=scripts)
def test_events_of_one_stream_come_in_the_order_of_time(script: Script) -> None:
    (events,) = play(FULL, dataclasses.replace(script, acknowledged=()))

    times = [event.at_s for event in events]
    assert times == sorted(times)
