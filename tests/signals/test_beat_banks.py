from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_sdk.beats import FEATURE_NAMES, BeatBank, BeatDescriberBank, Beats
from edge_sdk.beats.waiting import WaitingPeaks
from edge_sdk.lanes import hop_of
from edge_sdk.tensors import FloatArray, IntArray
from tests.signals.records import read_record

RATE_HZ, BEFORE_S, AFTER_S = 360.0, 0.25, 0.45
HOP = hop_of(RATE_HZ)
HOPS = 100
TIME, R_INDEX = 252, 90
MOST_LANES = 5


def bank_of(lanes: int) -> BeatBank:
    bank = BeatBank(sample_rate_hz=RATE_HZ, before_s=BEFORE_S, after_s=AFTER_S)
    bank.resize(lanes)
    return bank


def of_lane(found: Sequence[Beats], lane: int) -> list[tuple[bytes, ...]]:
    """Return the bits of all that one lane gave, but for its number."""
    columns = [part.name for part in fields(Beats) if part.name != "lane"]
    return [
        tuple(getattr(beats, column)[row].tobytes() for column in columns)
        for beats in found
        for row in np.flatnonzero(beats.lane == lane)
    ]


@pytest.fixture(scope="module")
def signal(demo_record: Path) -> FloatArray:
    return read_record(demo_record).signal[: 120 * round(RATE_HZ)]


@pytest.fixture(scope="module")
def streams(signal: FloatArray) -> FloatArray:
    """As many patients as there are lanes, with missing samples here and there, shape (hops, hop, lanes)."""
    starts = np.linspace(0, len(signal) - HOPS * HOP - 1, MOST_LANES).astype(int)
    rows = np.stack([signal[start : start + HOPS * HOP] for start in starts], axis=1)
    rows[40 * HOP : 43 * HOP, 1] = rows[:HOP, 2] = rows[60 * HOP + 3 : 60 * HOP + 9] = np.nan
    return rows.reshape(HOPS, HOP, MOST_LANES)


@pytest.fixture(scope="module")
def alone(streams: FloatArray) -> list[list[tuple[bytes, ...]]]:
    """What each stream gives when it is the only one."""
    only, told = np.zeros(1, np.int64), []
    for lane in range(MOST_LANES):
        bank = bank_of(1)
        told.append(of_lane([*(bank.step(only, hop[:, [lane]]) for hop in streams), bank.finish(only)], 0))
    return told


def test_real_streams_have_beats(alone: list[list[tuple[bytes, ...]]]) -> None:
    assert min(map(len, alone)) > 5


@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_a_lanes_beats_depend_on_no_other_lane_nor_on_when_they_step(
    data: st.DataObject, streams: FloatArray, alone: list[list[tuple[bytes, ...]]]
) -> None:
    lanes = np.array(sorted(data.draw(st.sets(st.integers(0, 40), min_size=1, max_size=MOST_LANES))))
    draw = np.random.default_rng(data.draw(st.integers(0, 1000)))
    bank, found, done = bank_of(1 + int(lanes.max())), list[Beats](), np.zeros(len(lanes), np.int64)

    while (done < HOPS).any():
        now = np.flatnonzero((done < HOPS) & (draw.random(len(lanes)) < 0.7))
        if len(now):
            found.append(bank.step(lanes[now], np.stack([streams[done[of], :, of] for of in now], axis=1)))
            done[now] += 1
    found.append(bank.finish(lanes))

    for stream, lane in enumerate(lanes):
        assert of_lane(found, lane) == alone[stream]


def test_a_reset_lane_forgets_and_the_others_do_not(streams: FloatArray, alone: list[list[tuple[bytes, ...]]]) -> None:
    bank, both = bank_of(2), np.arange(2)
    for hop in streams[:37]:
        bank.step(both, hop[:, [3, 4]])
    bank.reset(both[1:])
    found = [bank.step(both[1:], hop[:, [0]]) for hop in streams]

    assert of_lane([*found, bank.finish(both[1:])], 1) == alone[0]
    rest = [*(bank.step(both[:1], hop[:, [3]]) for hop in streams[37:]), bank.finish(both[:1])]
    assert of_lane(rest, 0) == alone[3][-len(of_lane(rest, 0)) :]


def test_room_for_more_lanes_changes_nothing_in_those_there_are(
    streams: FloatArray, alone: list[list[tuple[bytes, ...]]]
) -> None:
    bank, found = bank_of(1), list[Beats]()
    for number, hop in enumerate(streams):
        found.append(bank.step(np.zeros(1, np.int64), hop[:, :1]))
        if number % 25 == 0:
            bank.resize(2 + number)
    assert of_lane([*found, bank.finish(np.zeros(1, np.int64))], 0) == alone[0]


def test_a_stream_without_any_sample_has_no_beats_and_harms_nobody(
    streams: FloatArray, alone: list[list[tuple[bytes, ...]]]
) -> None:
    bank, both = bank_of(2), np.arange(2)
    silent = np.full(HOP, np.nan, np.float32)
    found = [bank.step(both, np.stack([silent, hop[:, 1]], axis=1)) for hop in streams]
    found.append(bank.finish(both))
    assert of_lane(found, 0) == []
    assert of_lane(found, 1) == alone[1]


def test_beats_come_sorted_by_lane_and_each_lanes_in_the_order_of_time(streams: FloatArray) -> None:
    bank, every = bank_of(MOST_LANES), np.arange(MOST_LANES)
    for beats in (*(bank.step(every, hop) for hop in streams), bank.finish(every)):
        place = beats.lane * HOPS * HOP + beats.r_index
        assert (np.diff(place) > 0).all()


def beats_like(number: int) -> st.SearchStrategy[FloatArray]:
    return arrays.arrays(
        np.float32, (number, TIME), elements=st.floats(-5, 5, width=32), fill=st.floats(-5, 5, width=32)
    )


def rounds(data: st.DataObject, lanes: int) -> Iterator[tuple[IntArray, FloatArray, FloatArray, FloatArray]]:
    for _ in range(data.draw(st.integers(1, 12))):
        chosen = np.array(sorted(data.draw(st.sets(st.integers(0, lanes - 1), min_size=1))))
        intervals_s = arrays.arrays(np.float64, len(chosen), elements=st.floats(0.01, 10))
        before_s = data.draw(intervals_s)
        before_s[data.draw(arrays.arrays(np.bool_, len(chosen)))] = np.nan
        yield chosen, data.draw(beats_like(len(chosen))), before_s, data.draw(intervals_s)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_what_is_told_of_any_beat_is_finite_bounded_and_of_its_own_lane_only(data: st.DataObject) -> None:
    lanes = data.draw(st.integers(1, 4))
    together = BeatDescriberBank(sample_rate_hz=RATE_HZ, r_index=R_INDEX, time=TIME)
    together.resize(lanes)
    apart = [BeatDescriberBank(sample_rate_hz=RATE_HZ, r_index=R_INDEX, time=TIME) for _ in range(lanes)]
    for bank in apart:
        bank.resize(1)

    for chosen, beats, before_s, after_s in rounds(data, lanes):
        waveform, features = together.describe(chosen, beats, before_s, after_s)
        assert np.isfinite(waveform).all()
        assert np.abs(features).max() <= 1
        assert features.shape == (len(chosen), len(FEATURE_NAMES))
        for row, lane in enumerate(chosen):
            mine = slice(row, row + 1)
            other = apart[lane].describe(np.zeros(1, np.int64), beats[mine], before_s[mine], after_s[mine])
            assert waveform[row].tobytes() == other[0].tobytes()
            assert features[row].tobytes() == other[1].tobytes()


@given(data=st.data())
def test_peaks_wait_for_their_successor_or_the_patience_and_for_their_last_samples(data: st.DataObject) -> None:
    after, patience = 20, 50
    waiting = WaitingPeaks(after=after, patience=patience, most=8)
    waiting.resize(3)
    peaks = {lane: np.cumsum(data.draw(st.lists(st.integers(5, 90), max_size=12))) for lane in range(3)}
    lanes, found = np.arange(3), list[tuple[int, int, int]]()

    for received in range(0, 1400, 10):
        new = [(lane, peak) for lane in range(3) for peak in peaks[lane] if received - 10 <= peak < received]
        if new:
            waiting.push(*np.array(new).T)
        ready = waiting.complete(lanes, np.full(3, received))
        columns = [ready, *waiting.pop(ready)]
        found += [(received, *each) for each in zip(*(column.tolist() for column in columns), strict=True)]

    for lane in range(3):
        mine = [(received, peak, following) for received, of, peak, following in found if of == lane]
        assert [peak for _, peak, _ in mine] == peaks[lane].tolist()
        for received, peak, following in mine:
            assert received >= peak + (after if following >= 0 else patience)
            assert following in (-1, *peaks[lane][peaks[lane] > peak][:1])


@pytest.mark.parametrize(("before_s", "after_s"), [(0.15, 0.25), (2.0, 2.0)])
@pytest.mark.parametrize("rate_hz", [100.0, 250.0])
def test_beats_of_every_length_and_rate_that_a_contract_allows_are_described(
    signal: FloatArray, rate_hz: float, before_s: float, after_s: float
) -> None:
    times_s = np.arange(0, 15, 1 / rate_hz)
    samples = np.interp(times_s, np.arange(len(signal)) / RATE_HZ, signal).astype(np.float32)
    bank, only = BeatBank(sample_rate_hz=rate_hz, before_s=before_s, after_s=after_s), np.zeros(1, np.int64)
    bank.resize(1)
    hops = samples[: len(samples) // bank.hop * bank.hop].reshape(-1, bank.hop, 1)

    found = [*(bank.step(only, hop) for hop in hops), bank.finish(only)]

    features = np.concatenate([beats.features for beats in found])
    assert len(features) > len(times_s) / rate_hz / 2
    assert np.isfinite(features).all()
    assert {beats.waveform.shape[1] for beats in found} == {-(-(bank.before + bank.after) // 2)}
