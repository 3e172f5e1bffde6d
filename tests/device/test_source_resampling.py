from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_agents.sources.resampling import RateResampler
from device_agents.sources.resampling_irregular import IrregularResampler
from edge_sdk.errors import SignalError
from edge_sdk.tensors import FloatArray

RATES_HZ = [(360, 250), (250, 360), (1000, 360), (128, 360), (360, 100), (62.5, 50)]
PASSED, STOPPED = 0.4, 0.6  # of the lower rate


def resampled(values: np.ndarray, from_hz: float, to_hz: float) -> FloatArray:
    resampler = RateResampler(from_hz=from_hz, to_hz=to_hz)
    samples = np.asarray(values, np.float32)[:, np.newaxis]
    return np.concatenate([resampler.push(samples), resampler.flush()])[:, 0]


def laid(times_s: np.ndarray, values: np.ndarray, *, rate_hz: float, longest_gap_s: float) -> FloatArray:
    resampler = IrregularResampler(rate_hz=rate_hz, longest_gap_s=longest_gap_s)
    samples = np.asarray(values, np.float32)[:, np.newaxis]
    return np.concatenate([resampler.push(np.asarray(times_s, float), samples), resampler.flush()])[:, 0]


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
def test_a_sine_that_both_rates_hold_is_kept_to_a_thousandth(from_hz: float, to_hz: float) -> None:
    for part in (0.01, 0.1, 0.25, PASSED):
        turn = 2 * np.pi * part * min(from_hz, to_hz)
        found = resampled(np.sin(turn * np.arange(round(6 * from_hz)) / from_hz), from_hz, to_hz)

        assert np.nanmax(np.abs(found - np.sin(turn * np.arange(len(found)) / to_hz))) < 1e-3


@pytest.mark.parametrize(("from_hz", "to_hz"), [(1000, 360), (360, 250), (360, 100)])
def test_what_the_lower_rate_cannot_hold_does_not_come_back_as_something_else(from_hz: float, to_hz: float) -> None:
    for part in np.linspace(STOPPED, from_hz / to_hz / 2 - 0.01, 8):
        found = resampled(np.sin(2 * np.pi * part * to_hz * np.arange(6 * from_hz) / from_hz + 1), from_hz, to_hz)

        assert np.nanmax(np.abs(found)) < 1e-3


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
def test_as_many_seconds_come_out_as_went_in(from_hz: float, to_hz: float) -> None:
    seconds = 4
    found = resampled(np.full(round(seconds * from_hz), 0.7), from_hz, to_hz)

    assert len(found) == seconds * to_hz
    assert found[np.isfinite(found)] == pytest.approx(0.7, abs=1e-6)
    reach = RateResampler(from_hz=from_hz, to_hz=to_hz).reach_s * to_hz
    assert np.isnan(found).sum() <= 2 * reach + 2


def test_a_missing_sample_is_missing_still_and_touches_only_its_neighbours() -> None:
    values = np.sin(np.arange(720) / 7)
    whole = resampled(values, 360, 250)
    values[360] = np.nan

    found = resampled(values, 360, 250)

    lost = np.isnan(found) & ~np.isnan(whole)
    reach_s = RateResampler(from_hz=360, to_hz=250).reach_s
    assert lost[250]
    assert np.abs(np.flatnonzero(lost) / 250 - 1).max() <= reach_s
    np.testing.assert_array_equal(found[~lost], whole[~lost])


def test_rates_without_a_common_measure_are_refused() -> None:
    with pytest.raises(SignalError, match=r"cannot be resampled to 360 Hz: give rates whose ratio"):
        RateResampler(from_hz=360.012345, to_hz=360)


CUTS = st.lists(st.integers(0, 300), max_size=8).map(sorted)


@given(seed=st.integers(0, 1000), cuts=CUTS, rates=st.sampled_from(RATES_HZ))
@settings(max_examples=40, deadline=None)
def test_a_rate_is_changed_alike_in_blocks_of_any_size(seed: int, cuts: list[int], rates: tuple[float, float]) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(300, 2)).astype(np.float32)
    values[random.integers(0, 300, size=2)] = np.nan
    once, cut = (RateResampler(from_hz=rates[0], to_hz=rates[1], channels=2) for _ in range(2))

    whole = np.concatenate([once.push(values), once.flush()])
    parts = [cut.push(part) for part in np.split(values, cuts)]

    np.testing.assert_array_equal(np.concatenate([*parts, cut.flush()]), whole)


@given(seed=st.integers(0, 1000), cuts=CUTS)
@settings(max_examples=40, deadline=None)
def test_uneven_samples_are_laid_alike_in_blocks_of_any_size(seed: int, cuts: list[int]) -> None:
    random = np.random.default_rng(seed)
    times = np.cumsum(random.choice([0.001, 0.033, 0.04, 0.3], p=[0.05, 0.5, 0.4, 0.05], size=300))
    values = random.normal(size=(300, 2)).astype(np.float32)
    values[random.integers(0, 300, size=3), 0] = np.nan
    once, cut = (IrregularResampler(rate_hz=50, longest_gap_s=0.08, channels=2) for _ in range(2))

    whole = np.concatenate([once.push(times, values), once.flush()])
    parts = [cut.push(*part) for part in zip(np.split(times, cuts), np.split(values, cuts), strict=True)]

    np.testing.assert_array_equal(np.concatenate([*parts, cut.flush()]), whole)


def test_samples_that_lie_on_the_grid_stay_as_they_are() -> None:
    values = np.random.default_rng(1).normal(size=100).astype(np.float32)

    found = laid(5 + np.arange(100) / 50, values, rate_hz=50, longest_gap_s=0.05)

    np.testing.assert_allclose(found, values, atol=1e-6)


def test_a_gap_is_left_empty_and_its_edges_know_nothing_of_each_other() -> None:
    times = np.concatenate([np.arange(0, 1, 0.03), np.arange(2, 3, 0.03)])
    values = np.sin(5 * times)

    found = laid(times, values, rate_hz=100, longest_gap_s=0.05)
    at_s = np.arange(len(found)) / 100

    inside = (at_s > 0.99 + 1e-6) & (at_s < 2 - 1e-6)
    np.testing.assert_array_equal(np.isnan(found), inside)
    assert np.abs(found - np.sin(5 * at_s))[~inside].max() < 5e-3
    elsewhere = laid(times, np.where(times < 1.5, values, 100 + values), rate_hz=100, longest_gap_s=0.05)
    np.testing.assert_array_equal(elsewhere[at_s <= 0.99], found[at_s <= 0.99])


def test_times_that_go_back_or_leap_by_a_day_are_refused() -> None:
    for times, words in (([0, 0.1, 0.1], "do not increase"), ([0, 1e5], "more than a day")):
        with pytest.raises(SignalError, match=words):
            laid(np.array(times, float), np.zeros(len(times)), rate_hz=100, longest_gap_s=1)


@pytest.mark.parametrize(("about_hz", "error"), [(250, 0.01), (125, 0.05)])
def test_a_real_ecg_taken_at_uneven_times_is_found_again(shared_data: Path, about_hz: float, error: float) -> None:
    rate_hz = 1000
    stored = np.fromfile(shared_data / "ecg_ptb12" / "s0010_re.dat", "<i2").reshape(-1, 12)[:, 1] / 2000
    ecg = below_40_hz(stored, rate_hz)
    random, step = np.random.default_rng(2), rate_hz / about_hz
    count = int(len(ecg) / step) - 1
    taken = np.rint((np.arange(count) + random.uniform(-0.3, 0.3, count)) * step).astype(int).clip(0)

    found = laid(taken / rate_hz, ecg[taken], rate_hz=250, longest_gap_s=0.02)

    true = ecg[taken[0] :: 4][: len(found)]
    assert np.sqrt(np.nanmean((found - true) ** 2) / np.var(true)) < error


def below_40_hz(values: np.ndarray, rate_hz: float) -> np.ndarray:
    spectrum = np.fft.rfft(values)
    spectrum[np.fft.rfftfreq(len(values), 1 / rate_hz) > 40] = 0
    return np.fft.irfft(spectrum, len(values))
