from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents.alarms import REARM_BEATS, RUN_BEATS, VentricularRun
from device_agents.heart_rate import HeartRate, rate_per_minute

RATE_HZ = 360.0
BEATS = st.lists(st.sampled_from("NSVFQ"), max_size=60)


def rates(intervals_s: list[float]) -> list[float]:
    heart, index, shown = HeartRate(sample_rate_hz=RATE_HZ), 0, []
    for interval_s in intervals_s:
        index += 0 if math.isnan(interval_s) else round(interval_s * RATE_HZ)
        per_minute = heart.beat(index=index, rr_s=interval_s)
        shown += [] if per_minute is None else [per_minute]
    return shown


@pytest.mark.parametrize("per_minute", [30, 72, 120, 200])
def test_a_steady_heart_shows_its_rate(per_minute: int) -> None:
    shown = rates([60 / per_minute] * 60)

    assert set(shown) == {float(per_minute)}


def test_bigeminy_shows_the_rate_at_which_beats_come() -> None:
    assert rate_per_minute([0.6, 1.0] * 4) == pytest.approx(75)


def test_one_missed_beat_does_not_change_the_rate() -> None:
    assert rate_per_minute([0.8] * 4 + [1.6] + [0.8] * 3) == pytest.approx(75)


def test_a_rate_is_shown_about_every_five_seconds() -> None:
    shown = rates([0.5] * 240)

    assert len(shown) == pytest.approx(120 / 5, abs=2)


@pytest.mark.parametrize("gap_s", [float("nan"), 4.0, 0.1])
def test_nothing_is_counted_across_a_gap(gap_s: float) -> None:
    shown = rates([1.0] * 20 + [gap_s] + [0.5] * 20)

    assert set(shown) == {60.0, 120.0}


def begins(labels: str) -> list[int]:
    run = VentricularRun()
    return [at for at, label in enumerate(labels) if run.beat(label)]


@pytest.mark.parametrize(
    ("labels", "alarms_at"),
    [
        ("NNVVN", []),
        ("NVVV", [3]),
        ("VVVVVVVV", [2]),
        ("VVVNVVV", [2]),
        ("VVVNNVVV", [2]),
        ("VVVNNNVVV", [2, 8]),
        ("VNVNVNV", []),
        ("VVSVV", []),
    ],
)
def test_one_run_is_one_alarm(labels: str, alarms_at: list[int]) -> None:
    assert begins(labels) == alarms_at


@given(labels=BEATS)
def test_an_alarm_comes_only_at_a_third_ventricular_beat_in_a_row(labels: list[str]) -> None:
    for at in begins("".join(labels)):
        assert labels[at - RUN_BEATS + 1 : at + 1] == ["V"] * RUN_BEATS


@given(labels=BEATS)
def test_a_first_run_is_never_missed(labels: list[str]) -> None:
    assert bool(begins("".join(labels))) == ("V" * RUN_BEATS in "".join(labels))


@given(labels=BEATS)
def test_between_two_alarms_the_run_has_ended(labels: list[str]) -> None:
    alarms = begins("".join(labels))
    for before, after in itertools.pairwise(alarms):
        between = "".join("V" if label == "V" else "-" for label in labels[before:after])
        assert "-" * REARM_BEATS in between


def test_a_beat_without_a_class_is_not_counted_and_ends_no_run() -> None:
    run = VentricularRun()
    assert [run.beat("V"), run.beat("V"), run.unknown(), run.beat("V")] == [False, False, None, False]
    assert [run.beat("V"), run.beat("V")] == [False, True]
    for _ in range(REARM_BEATS):
        run.unknown()
    assert [run.beat("V") for _ in range(RUN_BEATS)] == [False] * RUN_BEATS
