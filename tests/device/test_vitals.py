from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents.vitals import HeartRateBank, rates_per_minute, turns
from device_agents.vitals_rhythm import INTERVALS, RhythmBank, irregular_share
from edge_sdk.detectors import RPeakDetector

RATE_HZ = 360.0


def rates(intervals_s: list[float]) -> list[float]:
    """What one stream shows, told beat by beat."""
    bank = HeartRateBank(sample_rate_hz=RATE_HZ)
    bank.resize(1)
    shown = []
    for index, rr_s in zip(indices(intervals_s), intervals_s, strict=True):
        found = bank.step(np.zeros(1, np.int64), np.array([index]), np.array([rr_s], np.float32))
        shown += found.per_minute.round(1).tolist()
    return shown


def indices(intervals_s: list[float]) -> list[int]:
    return [round(total * RATE_HZ) for total in itertools.accumulate(np.nan_to_num(intervals_s).tolist())]


@pytest.mark.parametrize("per_minute", [30, 72, 120, 200])
def test_a_steady_heart_shows_its_rate(per_minute: int) -> None:
    assert set(rates([60 / per_minute] * 60)) == {float(per_minute)}


def test_bigeminy_shows_the_rate_at_which_beats_come() -> None:
    assert rates_per_minute(np.array([[0.6, 1.0] * 4], np.float32)) == pytest.approx(75)


def test_one_missed_beat_does_not_change_the_rate() -> None:
    assert rates_per_minute(np.array([[0.8] * 4 + [1.6] + [0.8] * 3], np.float32)) == pytest.approx(75)


def test_one_interval_is_no_rate() -> None:
    assert np.isnan(rates_per_minute(np.array([[0.8, np.nan, np.nan]], np.float32))).all()


def test_a_rate_is_shown_about_every_five_seconds() -> None:
    assert len(rates([0.5] * 240)) == pytest.approx(120 / 5, abs=2)


@pytest.mark.parametrize("gap_s", [float("nan"), 4.0, 0.1])
def test_nothing_is_counted_across_a_gap(gap_s: float) -> None:
    shown = rates([1.0] * 20 + [gap_s] + [0.5] * 20)

    assert set(shown) == {60.0, 120.0}


def test_the_bigeminy_of_ec13_shows_80(shared_data: Path) -> None:
    waveform = np.load(shared_data / "ecg_ec13" / "aami3a_60s.npz")
    detector = RPeakDetector(sample_rate_hz=720)
    beats = np.concatenate([detector.push(waveform["ecg_mv"].astype(np.float32)), detector.flush()])
    bank = HeartRateBank(sample_rate_hz=720)
    bank.resize(1)

    shown = bank.step(np.zeros(len(beats) - 1, np.int64), beats[1:], (np.diff(beats) / 720).astype(np.float32))

    assert len(shown.per_minute) >= 60 / 5 - 2
    assert shown.per_minute == pytest.approx(80, abs=5)


lives = st.lists(st.lists(st.sampled_from([0.3, 0.5, 0.81, 1.2, 2.9, 3.5, float("nan")]), max_size=60), max_size=5)


@given(lives=lives, at_once=st.integers(1, 7))
def test_what_a_stream_shows_does_not_depend_on_the_others(lives: list[list[float]], at_once: int) -> None:
    bank = HeartRateBank(sample_rate_hz=RATE_HZ)
    bank.resize(len(lives))
    shown: list[list[float]] = [[] for _ in lives]
    longest = max(map(len, lives), default=0)
    for begin in range(0, longest, at_once):
        beats = [
            (lane, index, rr_s)
            for lane, life in enumerate(lives)
            for index, rr_s in list(zip(indices(life), life, strict=True))[begin : begin + at_once]
        ]
        if beats:
            lane, index, rr_s = zip(*beats, strict=True)
            found = bank.step(np.array(lane), np.array(index), np.array(rr_s, np.float32))
            for lane_number, rate in zip(found.lane.tolist(), found.per_minute.round(1).tolist(), strict=True):
                shown[lane_number].append(rate)

    assert shown == [rates(life) for life in lives]


@given(lanes=st.lists(st.integers(0, 9), max_size=40))
def test_turns_take_every_place_once_and_in_the_order_of_each_lane(lanes: list[int]) -> None:
    found = [turn.tolist() for turn in turns(np.array(lanes, np.int64))]

    assert sorted(itertools.chain(*found)) == list(range(len(lanes)))
    assert all(len({lanes[place] for place in turn}) == len(turn) for turn in found)
    for lane in set(lanes):
        places = [place for turn in found for place in turn if lanes[place] == lane]
        assert places == sorted(places)


def measured(intervals_s: np.ndarray) -> tuple[float, float, float]:
    bank = RhythmBank(sample_rate_hz=RATE_HZ)
    bank.resize(1)
    index = np.rint(np.cumsum(np.nan_to_num(intervals_s)) * RATE_HZ).astype(np.int64)
    found = bank.step(np.zeros(len(index), np.int64), index, intervals_s.astype(np.float32))
    return float(found.sdnn_ms[-1]), float(found.rmssd_ms[-1]), float(found.irregular[-1])


def test_measures_of_rhythm_are_those_of_the_latest_intervals() -> None:
    intervals_s = 1 + 0.05 * np.sin(np.arange(INTERVALS + 60.0))
    bank = RhythmBank(sample_rate_hz=RATE_HZ)
    bank.resize(1)

    found = bank.step(
        np.zeros(len(intervals_s), np.int64),
        np.rint(np.cumsum(intervals_s) * RATE_HZ).astype(np.int64),
        intervals_s.astype(np.float32),
    )

    for at, sdnn, rmssd in zip(found.index, found.sdnn_ms, found.rmssd_ms, strict=True):
        until = int(np.searchsorted(np.cumsum(intervals_s) * RATE_HZ, at - 1)) + 1
        latest = intervals_s[max(0, until - INTERVALS) : until]
        assert sdnn == pytest.approx(1000 * latest.std(), rel=1e-3)
        assert rmssd == pytest.approx(1000 * np.sqrt((np.diff(latest) ** 2).mean()), rel=1e-3)
    assert len(found.index) >= 1


def test_differences_are_not_taken_across_an_interval_that_does_not_count() -> None:
    intervals_s = np.where(np.arange(120) % 10 == 9, np.nan, np.where(np.arange(120) % 20 < 10, 0.8, 1.0))

    _, rmssd_ms, irregular = measured(intervals_s)

    assert rmssd_ms == pytest.approx(0, abs=0.01)
    assert irregular == 0


@pytest.mark.parametrize(
    ("pattern", "share"), [([1.0], 0), ([0.6, 1.0], 0), ([0.6, 1.0, 0.8], 0), ([0.5, 0.7, 0.9, 1.1, 1.3], 1)]
)
def test_only_intervals_that_repeat_none_of_the_three_before_are_irregular(pattern: list[float], share: float) -> None:
    rows = np.resize(np.array(pattern, np.float32), (1, 60))

    assert irregular_share(rows) == pytest.approx(share, abs=0.01)


def test_too_few_intervals_have_no_rhythm() -> None:
    rows = np.full((1, 60), np.nan, np.float32)
    rows[0, :20] = 0.8

    assert np.isnan(irregular_share(rows)).all()
