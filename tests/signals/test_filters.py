from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_sdk.errors import SignalError
from edge_sdk.filters import Biquad, StreamFilter, group_delay_s, high_pass, low_pass, notch, response

RATE_HZ = 360.0
BAND = high_pass(cutoff_hz=0.5, sample_rate_hz=RATE_HZ) + low_pass(cutoff_hz=40, sample_rate_hz=RATE_HZ, order=4)
NOISE = np.random.default_rng(1).normal(size=1000).astype(np.float32)


def filtered(
    sections: tuple[Biquad, ...], samples: NDArray[np.float32], cuts: tuple[int, ...] = ()
) -> NDArray[np.float32]:
    stream = StreamFilter(sections)
    return np.concatenate([*(stream.push(block) for block in np.split(samples, sorted(cuts))), stream.flush()])


def sample_by_sample(sections: tuple[Biquad, ...], samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The difference equation itself, from rest."""
    for s in sections:
        out = np.zeros_like(samples)
        x1 = x2 = y1 = y2 = 0.0
        for n, x in enumerate(samples.tolist()):
            y = s.b0 * x + s.b1 * x1 + s.b2 * x2 - s.a1 * y1 - s.a2 * y2
            x1, x2, y1, y2 = x, x1, y, y1
            out[n] = y
        samples = out
    return samples


def gain(sections: tuple[Biquad, ...], frequency_hz: float) -> float:
    return abs(response(sections, frequency_hz=frequency_hz, sample_rate_hz=RATE_HZ))


@pytest.mark.parametrize("order", [2, 4, 6])
def test_a_butterworth_filter_halves_the_power_at_its_cut_off(order: int):
    low = low_pass(cutoff_hz=40, sample_rate_hz=RATE_HZ, order=order)
    high = high_pass(cutoff_hz=5, sample_rate_hz=RATE_HZ, order=order)
    assert gain(low, 40) == pytest.approx(math.sqrt(0.5))
    assert gain(high, 5) == pytest.approx(math.sqrt(0.5))
    assert gain(low, 1e-6) == pytest.approx(1)
    assert gain(high, 179.999) == pytest.approx(1)


def test_a_notch_removes_its_frequency_and_spares_the_others():
    hum = notch(centre_hz=50, sample_rate_hz=RATE_HZ)
    assert gain(hum, 50) < 1e-9
    assert gain(hum, 40) > 0.99


def test_the_hop_matrix_is_the_difference_equation():
    samples = np.append(np.float32(0), NOISE)
    np.testing.assert_allclose(filtered(BAND, samples), sample_by_sample(BAND, samples.astype(np.float64)), atol=1e-6)


@settings(deadline=None)
@given(st.lists(st.integers(0, len(NOISE)), max_size=20).map(tuple))
def test_the_output_never_depends_on_how_samples_were_split_into_blocks(cuts: tuple[int, ...]):
    samples = NOISE.copy()
    samples[[0, 1, 40, 41, 42, 500]] = np.nan
    np.testing.assert_array_equal(filtered(BAND, samples, cuts), filtered(BAND, samples))


def test_streams_side_by_side_are_filtered_as_if_alone():
    pair = np.stack([NOISE, -2 * NOISE + 5], axis=1)
    together = filtered(BAND, pair)
    assert together.shape == pair.shape
    for k in range(2):
        np.testing.assert_allclose(together[:, k], filtered(BAND, pair[:, k]), atol=1e-5)


def test_a_constant_makes_no_transient():
    np.testing.assert_allclose(filtered(BAND, np.full(500, 3.0, np.float32)), 0, atol=1e-6)
    low = low_pass(cutoff_hz=40, sample_rate_hz=RATE_HZ)
    np.testing.assert_allclose(filtered(low, np.full(500, 3.0, np.float32)), 3, atol=1e-6)


def test_a_missing_sample_holds_the_one_before_it():
    holed, held = NOISE.copy(), NOISE.copy()
    holed[100:110] = np.nan
    held[100:110] = held[99]
    np.testing.assert_array_equal(filtered(BAND, holed), filtered(BAND, held))


def test_a_stream_that_begins_with_missing_samples_starts_at_the_first_that_is_there():
    late = np.full(300, 7.0, np.float32)
    late[:77] = np.nan
    np.testing.assert_allclose(filtered(BAND, late), 0, atol=1e-6)


def test_nothing_but_missing_samples_gives_finite_output():
    assert np.isfinite(filtered(BAND, np.full(100, np.nan, np.float32))).all()


def test_the_group_delay_is_where_a_packet_of_waves_comes_out():
    band = high_pass(cutoff_hz=6, sample_rate_hz=RATE_HZ) + low_pass(cutoff_hz=18, sample_rate_hz=RATE_HZ)
    n = np.arange(2000)
    packet = (np.cos(2 * np.pi * 10 * n / RATE_HZ) * np.exp(-(((n - 1000) / 120) ** 2))).astype(np.float32)
    energy = filtered(band, packet).astype(np.float64) ** 2
    centre = (energy * n).sum() / energy.sum()
    expected = group_delay_s(band, frequency_hz=10, sample_rate_hz=RATE_HZ) * RATE_HZ
    assert centre - 1000 == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("cutoff_hz", [0.0, 180.0, 500.0])
def test_a_cut_off_outside_the_sampled_band_is_refused(cutoff_hz: float):
    with pytest.raises(SignalError, match="below half the sample rate"):
        low_pass(cutoff_hz=cutoff_hz, sample_rate_hz=RATE_HZ)


def test_an_odd_order_is_refused():
    with pytest.raises(SignalError, match="even"):
        low_pass(cutoff_hz=40, sample_rate_hz=RATE_HZ, order=3)
