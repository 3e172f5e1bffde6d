from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_sdk.detectors import RPeakDetector
from edge_sdk.ec57 import (
    Score,
    annotated_beats,
    score_record,
    unclassified_beats,
    ventricular_flutter_spans,
)
from edge_sdk.errors import SignalError
from tests.signals.records import Record, read_record

RATE_HZ = 360


def r_peaks(
    signal: NDArray[np.float32], sample_rate_hz: float = RATE_HZ, cuts: tuple[int, ...] = ()
) -> NDArray[np.int64]:
    detector = RPeakDetector(sample_rate_hz=sample_rate_hz)
    found = [detector.push(block) for block in np.split(signal.astype(np.float32), sorted(cuts))]
    return np.concatenate([*found, detector.flush()])


def score(record: Record) -> Score:
    return score_record(
        reference=annotated_beats(record.annotated, record.symbols),
        detected=unclassified_beats(r_peaks(record.signal, record.sample_rate_hz)),
        sample_rate_hz=record.sample_rate_hz,
        excluded=ventricular_flutter_spans(record.annotated, record.symbols),
    )


@cache
def cached_record(path: Path) -> Record:
    return read_record(path)


@pytest.fixture
def record(demo_record: Path) -> Record:
    """Half an hour with frequent ventricular beats and noise."""
    return cached_record(demo_record)


@pytest.fixture
def minute(record: Record) -> NDArray[np.float32]:
    return record.signal[: 60 * RATE_HZ]


def beats_between(record: Record, start_s: float, end_s: float) -> NDArray[np.int64]:
    samples = annotated_beats(record.annotated, record.symbols).samples
    return samples[(samples >= start_s * RATE_HZ) & (samples < end_s * RATE_HZ)]


def missed_s(record: Record, found: NDArray[np.int64], end_s: float = 60) -> NDArray[np.float64]:
    """Return when, in seconds, there were beats that nothing within 150 ms matches."""
    beats = beats_between(record, 0, end_s)
    apart = np.abs(beats[:, np.newaxis] - found[np.newaxis]).min(axis=1)
    return beats[apart > 0.15 * RATE_HZ] / RATE_HZ


def test_the_shipped_record_is_read_better_than_99_7_percent(record: Record):
    result = score(record)
    assert result.sensitivity >= 0.997
    assert result.positive_predictivity >= 0.997


@pytest.mark.parametrize(("name", "most_missed", "most_extra"), [("119", 0, 2), ("203", 40, 32), ("207", 3, 12)])
def test_hard_records_are_read_as_well_as_measured(shared_data: Path, name: str, most_missed: int, most_extra: int):
    result = score(read_record(shared_data / "ecg_mitdb" / "ds1" / name))
    assert result.missed <= most_missed
    assert result.extra <= most_extra


def test_peaks_lie_where_the_annotators_put_them(record: Record):
    beats = annotated_beats(record.annotated, record.symbols)
    found = r_peaks(record.signal)
    nearest = np.abs(found[:, np.newaxis] - beats.samples[np.newaxis, beats.classes == "N"]).min(axis=0)
    assert np.mean(nearest <= 0.010 * RATE_HZ) > 0.98


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, 20 * RATE_HZ), max_size=30).map(tuple), gap=st.integers(0, 19 * RATE_HZ))
def test_the_peaks_never_depend_on_how_samples_were_split_into_blocks(
    demo_record: Path, cuts: tuple[int, ...], gap: int
):
    signal = cached_record(demo_record).signal[: 20 * RATE_HZ].copy()
    signal[gap : gap + 200] = np.nan
    np.testing.assert_array_equal(r_peaks(signal, cuts=cuts), r_peaks(signal))


def test_a_peak_is_confirmed_within_the_promised_delay_and_in_order(record: Record):
    detector = RPeakDetector(sample_rate_hz=RATE_HZ)
    signal, step = record.signal[: 600 * RATE_HZ].copy(), 12
    signal[100 * RATE_HZ : 104 * RATE_HZ] = signal[100 * RATE_HZ]
    last = -1
    for at in range(0, len(signal), step):
        for peak in detector.push(signal[at : at + step]).tolist():
            assert last < peak < at + step <= peak + detector.max_delay_samples + step
            last = peak


def test_the_polarity_of_the_lead_does_not_matter(record: Record, minute: NDArray[np.float32]):
    assert not len(missed_s(record, r_peaks(-minute)))


def test_beats_of_the_first_seconds_are_reported(record: Record, minute: NDArray[np.float32]):
    first = beats_between(record, 0, 3)
    assert len(first) >= 2
    assert np.abs(r_peaks(minute)[: len(first)] - first).max() <= 0.05 * RATE_HZ


@pytest.mark.parametrize("filling", [np.nan, 0.0, 5.12], ids=["missing", "flat", "on the rail"])
def test_a_lead_that_fails_for_eight_seconds_gives_no_beats_and_recovers(
    record: Record, minute: NDArray[np.float32], filling: float
):
    signal = minute.copy()
    signal[20 * RATE_HZ : 28 * RATE_HZ] = filling
    found = r_peaks(signal)
    within = (found > 20.3 * RATE_HZ) & (found < 27.5 * RATE_HZ)
    assert not within.any()
    missed = missed_s(record, found)
    assert ((missed > 19.5) & (missed < 28.5)).all()


def test_a_pause_with_electrical_noise_stays_a_pause(minute: NDArray[np.float32]):
    signal = minute.copy()
    noise = np.random.default_rng(2).normal(scale=0.02, size=10 * RATE_HZ)
    signal[20 * RATE_HZ : 30 * RATE_HZ] = signal[20 * RATE_HZ] + noise
    found = r_peaks(signal) / RATE_HZ
    assert not ((found > 20.3) & (found < 29.8)).any()


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_a_sudden_change_of_amplitude_is_followed(record: Record, minute: NDArray[np.float32], factor: float):
    signal = minute.copy()
    signal[30 * RATE_HZ :] *= factor
    assert len(missed_s(record, r_peaks(signal))) <= 3


def test_baseline_wander_and_mains_hum_do_not_matter(record: Record, minute: NDArray[np.float32]):
    t = np.arange(len(minute)) / RATE_HZ
    disturbed = minute + np.sin(2 * np.pi * 0.3 * t) + 0.2 * np.sin(2 * np.pi * 50 * t) + 100
    assert len(missed_s(record, r_peaks(disturbed))) <= 1


@pytest.mark.parametrize("sample_rate_hz", [100, 125, 250, 500, 1000])
def test_any_sample_rate_from_100_to_1000_hz_will_do(
    record: Record, minute: NDArray[np.float32], sample_rate_hz: float
):
    times = np.arange(0, 60 * sample_rate_hz) / sample_rate_hz
    resampled = np.interp(times, np.arange(len(minute)) / RATE_HZ, minute)
    found = r_peaks(resampled, sample_rate_hz) * RATE_HZ / sample_rate_hz
    assert len(missed_s(record, found)) <= 1
    assert abs(len(found) - len(beats_between(record, 0, 60))) <= 2


@pytest.mark.parametrize("level", [0.0, 3.0, np.nan])
def test_a_stream_without_a_heart_has_no_beats(level: float):
    assert not len(r_peaks(np.full(20 * RATE_HZ, level)))


def test_a_stream_shorter_than_the_learning_time_gives_its_beats_at_the_end(minute: NDArray[np.float32]):
    assert len(r_peaks(minute[: round(1.5 * RATE_HZ)])) >= 1
    assert not len(r_peaks(minute[:0]))


@pytest.mark.parametrize("sample_rate_hz", [50, 2000])
def test_a_sample_rate_outside_the_range_is_refused_with_a_remedy(sample_rate_hz: float):
    with pytest.raises(SignalError, match="resample it"):
        RPeakDetector(sample_rate_hz=sample_rate_hz)


def test_electrode_motion_noise_is_read_better_than_by_xqrs(shared_data: Path):
    noisy = np.load(shared_data / "ecg_nstdb" / "118e12_120s.npz")
    result = score_record(
        reference=unclassified_beats(noisy["r_samples"]),
        detected=unclassified_beats(r_peaks(noisy["ecg_adu"] / noisy["gain"])),
        sample_rate_hz=RATE_HZ,
        skip_s=0,
    )
    assert result.sensitivity > 0.988
    assert result.positive_predictivity > 0.925


def test_a_rate_meter_reads_the_ec13_bigeminy_as_80(shared_data: Path):
    waveform = np.load(shared_data / "ecg_ec13" / "aami3a_60s.npz")
    found = r_peaks(waveform["ecg_mv"], 720)
    assert 60 * 720 * (len(found) - 1) / (found[-1] - found[0]) == pytest.approx(80, abs=5)


def test_a_false_asystole_alarm_of_an_icu_monitor_is_not_repeated(shared_data: Path):
    icu = read_record(shared_data / "icu_alarm" / "a103l", lead="II")
    beats_s = r_peaks(icu.signal, icu.sample_rate_hz) / icu.sample_rate_hz
    assert np.diff(beats_s[(beats_s > 280) & (beats_s < 310)]).max() < 4
