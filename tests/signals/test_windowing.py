from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.beats import FEATURE_NAMES
from edge_sdk.contracts import BeatWindows, FixedWindows, InputContract, ModelInput, Windows
from edge_sdk.errors import SignalError
from edge_sdk.fixed_windows import FixedWindowBank
from edge_sdk.preprocessing import prepare
from edge_sdk.signals import SignalFormat
from edge_sdk.windowing import Window, WindowBatch, windower_bank_for, windower_for
from tests.signals.records import read_record

RATE_HZ = 360.0
BEATS = BeatWindows(before_s=0.25, after_s=0.45)


def contract(windows: Windows, *features: str, rate_hz: float = RATE_HZ) -> InputContract:
    signal = SignalFormat(kind="ecg", unit="mV", channels=("MLII",), sample_rate_hz=rate_hz)
    taken = ModelInput(name="told", takes="features", shape=(len(features),), features=features)
    return InputContract(signal=signal, windows=windows, inputs=(taken,) if features else ())


def cut(reads: InputContract, samples: np.ndarray, cuts: list[int] | None = None) -> list[Window]:
    windower = windower_for(reads)
    found = [window for block in np.split(samples, sorted(cuts or [])) for window in windower.push(block)]
    return found + windower.flush()


@given(
    length=st.integers(1, 12),
    hop=st.integers(1, 20),
    count=st.integers(0, 60),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_fixed_windows_are_every_hop_whatever_the_blocks(length: int, hop: int, count: int, cuts: list[int]) -> None:
    samples = np.arange(count, dtype=np.float32)
    reads = contract(FixedWindows(length_s=length, hop_s=hop), rate_hz=1.0)

    found = cut(reads, samples, [min(at, count) for at in cuts])

    starts = [start for start in range(0, count, hop) if start + length <= count]
    assert [window.start_index for window in found] == starts
    for window in found:
        assert window.waveform[:, 0].tolist() == list(range(window.start_index, window.end_index))
        assert window.anchor_index == window.start_index + length - 1


def test_a_model_is_told_the_features_it_names_in_its_order(demo_record: Path) -> None:
    samples = read_record(demo_record).signal[: 20 * 360]
    asked = ("usual_correlation", "rr_before_to_last_10")

    every, some = contract(BEATS, *FEATURE_NAMES), contract(BEATS, *asked)

    for whole, window in zip(cut(every, samples), cut(some, samples), strict=True):
        told = dict(zip(FEATURE_NAMES, prepare(whole, every)["told"].tolist(), strict=True))
        assert prepare(window, some)["told"].tolist() == [told[name] for name in asked]


@pytest.mark.parametrize("windows", [BEATS, FixedWindows(length_s=1.0, hop_s=1.0)])
def test_a_feature_that_such_windows_do_not_have_is_refused(windows: Windows) -> None:
    with pytest.raises(SignalError, match="do not have: mood"):
        windower_for(contract(windows, "mood"))


def samples_of(lane: int, count: int, channels: int) -> np.ndarray:
    """Return samples that tell where they are from, shape (count, channels)."""
    return (1e4 * lane + 10 * np.arange(count)[:, np.newaxis] + np.arange(channels)).astype(np.float32)


@given(data=st.data())
def test_each_lane_has_its_own_fixed_windows_whenever_it_begins_and_steps(data: st.DataObject) -> None:
    hop, length, every = (data.draw(st.integers(1, most)) for most in (6, 15, 20))
    lanes, channels, hops = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 25))
    bank = FixedWindowBank(hop=hop, length=length, every=every, channels=channels)
    bank.resize(lanes)
    told = [samples_of(lane, hops * hop, channels).reshape(hops, hop, channels) for lane in range(lanes)]
    begun, done = np.zeros(lanes, int), np.zeros(lanes, int)
    found: list[WindowBatch] = []

    for _ in range(2 * hops):
        now = np.array(sorted(data.draw(st.sets(st.integers(0, lanes - 1)))), np.int64)
        now = now[done[now] < hops]
        if data.draw(st.integers(0, 9)) == 0 and len(now):
            bank.reset(now[:1])
            found = [batch.where(batch.lane != now[0]) for batch in found]
            begun[now[0]] = done[now[0]]
        samples = np.empty((hop, len(now), channels), np.float32)
        for column, lane in enumerate(now):
            samples[:, column] = told[lane][done[lane]]
        found.append(bank.step(now, samples if channels > 1 else samples[:, :, 0]))
        done[now] += 1

    for lane in range(lanes):
        mine = [window for batch in found for window in batch.where(batch.lane == lane).each(())]
        stream = told[lane][begun[lane] : done[lane]].reshape(-1, channels)
        assert [window.start_index for window in mine] == [
            start for start in range(0, len(stream), every) if start + length <= len(stream)
        ]
        for window in mine:
            np.testing.assert_array_equal(window.waveform, stream[window.start_index : window.end_index])
            assert window.anchor_index == window.end_index - 1


def test_windows_of_many_lanes_come_sorted_by_lane_then_time() -> None:
    bank = FixedWindowBank(hop=10, length=5, every=2)
    bank.resize(3)
    batch = bank.step(np.arange(3), np.zeros((10, 3), np.float32))
    assert (np.diff(100 * batch.lane + batch.start_index) > 0).all()
    assert set(batch.lane.tolist()) == {0, 1, 2}


def test_an_accelerometers_windows_have_all_its_axes() -> None:
    signal = SignalFormat(kind="accelerometer", unit="g", channels=("x", "y", "z"), sample_rate_hz=50.0)
    reads = InputContract(signal=signal, windows=FixedWindows(length_s=1.0, hop_s=0.5), inputs=())
    samples = samples_of(0, 120, 3)

    first, second, third = cut(reads, samples, [7, 60])

    np.testing.assert_array_equal(first.waveform, samples[:50])
    np.testing.assert_array_equal(third.waveform, samples[50:100])
    assert second.start_index == 25


def test_models_that_name_other_features_may_share_the_windows(demo_record: Path) -> None:
    samples = read_record(demo_record).signal[: 20 * 360]
    bank = windower_bank_for(contract(BEATS, "usual_correlation"))
    bank.resize(1)
    only, names = np.zeros(1, np.int64), ("rr_before_to_last_10", "usual_correlation")

    batches = [bank.step(only, hop[:, np.newaxis]) for hop in samples.reshape(-1, bank.hop)] + [bank.finish(only)]

    some = [row for batch in batches for row in batch.of(names).tolist()]
    whole = np.concatenate([batch.of(FEATURE_NAMES) for batch in batches])
    assert some == whole[:, [FEATURE_NAMES.index(name) for name in names]].tolist()
    alone = cut(contract(BEATS, *names), samples)
    assert some == [window.features.tolist() for window in alone]
