from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_sdk.beats import FEATURE_NAMES, RHYTHM_FEATURES, BeatDescriber, BeatWindower
from edge_sdk.beats.families import COUNT, SHAPE, SIZE, FamilyBank, Members
from edge_sdk.beats.rhythm import LONGEST_RR_S, RhythmBank
from edge_sdk.beats.shapes import about_mean, correlation, size, unlikeness
from edge_sdk.beats.units import UNITS
from edge_sdk.beats.windower import Beat
from edge_sdk.contracts import ModelContract
from edge_sdk.settings import load_toml
from edge_sdk.tensors import FloatArray
from tests.signals.records import read_record

RATE_HZ = 360
R_INDEX = 90
ONLY = np.zeros(1, np.int64)
TIMES_S = (np.arange(252) - R_INDEX) / RATE_HZ


def bump(at_s: float, width_s: float, height_mv: float) -> FloatArray:
    shape: FloatArray = (height_mv * np.exp(-(((TIMES_S - at_s) / width_s) ** 2) / 2)).astype(np.float32)
    return shape


P_WAVE, T_WAVE = bump(-0.16, 0.02, 0.15), bump(0.28, 0.04, 0.3)
QRS = bump(0, 0.012, 1.0)
NORMAL = P_WAVE + QRS + T_WAVE
VENTRICULAR = bump(0.02, 0.04, -1.4) + bump(0.25, 0.05, 0.5)
WITHOUT_P = QRS + T_WAVE


def beats_of(signal: FloatArray, *cuts: int) -> list[Beat]:
    windower = BeatWindower(sample_rate_hz=RATE_HZ, before_s=0.25, after_s=0.45)
    found = [beat for block in np.split(signal, sorted(cuts)) for beat in windower.push(block)]
    return found + windower.flush()


def told(describer: BeatDescriber, beat: FloatArray, rr_before_s: float, rr_after_s: float) -> dict[str, float]:
    """Return the beat's features as they were before they were put in their units."""
    _, features = describer.describe(beat, rr_before_s=rr_before_s, rr_after_s=rr_after_s)
    common, spread = np.array([UNITS[name] for name in FEATURE_NAMES]).T
    return dict(zip(FEATURE_NAMES, (common + 2 * spread * np.arctanh(features)).tolist(), strict=True))


def rhythm_of(intervals_s: list[float]) -> list[dict[str, float]]:
    rhythm = RhythmBank()
    rhythm.resize(1)
    before_s, after_s = np.array([intervals_s, [*intervals_s[1:], intervals_s[-1]]])[:, :, np.newaxis]
    found = [rhythm.describe(ONLY, before, after)[:, 0] for before, after in zip(before_s, after_s, strict=True)]
    return [dict(zip(RHYTHM_FEATURES, features.tolist(), strict=True)) for features in found]


def families_of(*shapes: FloatArray) -> list[Members]:
    """Return what beats of these shapes, one after another, were sorted into."""
    families = FamilyBank(time=len(shapes[0]))
    families.resize(1)
    beats = np.zeros((len(shapes), 1, SHAPE + len(shapes[0])), np.float32)
    beats[:, 0, SHAPE:], _ = about_mean(np.stack(shapes))
    beats[:, :, COUNT], beats[:, :, SIZE] = 1, size(beats[:, :, SHAPE:])
    return [families.sort(ONLY, beat) for beat in beats]


@pytest.fixture(scope="module")
def minute(demo_record: Path) -> FloatArray:
    """With ventricular beats."""
    return read_record(demo_record).signal[: 60 * RATE_HZ]


@pytest.fixture
def describer() -> BeatDescriber:
    """One that has seen a minute of normal beats."""
    found = BeatDescriber(sample_rate_hz=RATE_HZ, r_index=R_INDEX)
    for _ in range(60):
        found.describe(NORMAL, rr_before_s=0.8, rr_after_s=0.8)
    return found


@settings(deadline=None, max_examples=5)
@given(cuts=st.lists(st.integers(0, 60 * RATE_HZ), max_size=12))
def test_beats_do_not_depend_on_how_the_signal_was_split(minute: FloatArray, cuts: list[int]) -> None:
    whole, parts = beats_of(minute), beats_of(minute, *cuts)
    assert [beat.r_index for beat in parts] == [beat.r_index for beat in whole]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.waveform, other.waveform)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_features_do_not_depend_on_the_leads_gain(minute: FloatArray, gain: float) -> None:
    once, again = beats_of(minute), beats_of(minute * np.float32(gain))
    assert [beat.r_index for beat in again] == [beat.r_index for beat in once]
    difference = [np.abs(one.features - other.features).max() for one, other in zip(once, again, strict=True)]
    assert max(difference) < 0.1


def test_every_feature_is_finite_and_bounded_on_a_real_recording_with_a_gap(minute: FloatArray) -> None:
    broken = minute.copy()
    broken[20 * RATE_HZ : 25 * RATE_HZ] = np.nan
    beats = beats_of(broken)
    assert beats[-1].r_index > 55 * RATE_HZ
    features = np.stack([beat.features for beat in beats])
    assert features.shape[1] == len(FEATURE_NAMES)
    assert np.abs(features).max() <= 1


def test_a_beat_without_a_successor_is_described_within_a_bounded_delay(minute: FloatArray) -> None:
    windower = BeatWindower(sample_rate_hz=RATE_HZ, before_s=0.25, after_s=0.45)
    heard = windower.push(minute[: 10 * RATE_HZ])
    heard += windower.push(np.zeros(6 * RATE_HZ, np.float32))
    assert heard[-1].r_index == beats_of(minute[: 10 * RATE_HZ])[-1].r_index


def test_the_first_beat_has_no_interval_before_it(minute: FloatArray) -> None:
    first, second, *_ = beats_of(minute)
    assert np.isnan(first.rr_s)
    assert second.rr_s == pytest.approx((second.r_index - first.r_index) / RATE_HZ)


def test_a_steady_rhythm_has_no_features_but_zeros() -> None:
    last = rhythm_of([0.8] * 50)[-1]
    assert list(last.values()) == pytest.approx([0] * len(last), abs=1e-6)


def test_only_ratios_of_intervals_count() -> None:
    intervals_s = [0.8, 0.82, 0.5, 1.1, 0.79, 0.81, 0.78] * 8
    slow, fast = rhythm_of(intervals_s), rhythm_of([interval / 2 for interval in intervals_s])
    for one, other in zip(slow, fast, strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()), abs=1e-5)


def test_an_early_beat_and_its_pause_are_told_as_logarithms_of_their_ratio_to_the_usual() -> None:
    early = rhythm_of([*[0.8] * 40, 0.4, 1.2, 0.8])[40]
    assert early["rr_before_to_last_10"] == pytest.approx(np.log(1 / 2), abs=1e-6)
    assert early["rr_after_to_before"] == pytest.approx(np.log(3), abs=1e-6)


def test_beats_that_are_mostly_early_are_still_early_against_the_slowest() -> None:
    mostly_early = rhythm_of([1.6, 0.8, 0.8, 0.8, 0.8] * 20)[-1]
    assert mostly_early["rr_before_to_last_10"] == pytest.approx(0, abs=1e-6)
    assert mostly_early["rr_before_to_slow_300"] == pytest.approx(np.log(1 / 2), abs=1e-6)


def test_an_interval_is_cut_to_what_a_heart_can_do() -> None:
    longest, lost = rhythm_of([0.8, LONGEST_RR_S])[-1], rhythm_of([0.8, 60.0])[-1]
    assert longest == lost


def test_correlation_ignores_height_and_offset() -> None:
    known, _ = about_mean(NORMAL)
    assert correlation(3 * NORMAL + 2, known) == pytest.approx(1, abs=0.01)
    assert correlation(-NORMAL, known) == pytest.approx(-1, abs=0.01)


def test_unlikeness_grows_as_likeness_falls() -> None:
    grades = unlikeness(np.array([1.0, 0.99, 0.9, 0.0, -1.0], np.float32)).tolist()
    assert grades == sorted(grades)


def test_like_beats_are_one_family_and_others_another() -> None:
    found = families_of(NORMAL, VENTRICULAR, 1.2 * NORMAL, NORMAL, 0.8 * VENTRICULAR, NORMAL)
    assert [bool(beat.is_usual) for beat in found] == [True, False, True, True, False, True]
    *_, ventricular, normal = (beat.family[0] for beat in found)
    assert correlation(VENTRICULAR, ventricular[SHAPE:]) == pytest.approx(1, abs=0.01)
    assert correlation(NORMAL, normal[SHAPE:]) == pytest.approx(1, abs=0.01)
    assert normal[COUNT] > ventricular[COUNT]


def test_a_new_shape_displaces_the_rarest_family_and_never_the_largest() -> None:
    random = np.random.default_rng(1)
    noise = [random.normal(size=len(NORMAL)).astype(np.float32) for _ in range(50)]
    *before, _ = families_of(*[NORMAL] * 6)
    *_, last = families_of(*[NORMAL] * 5, *noise, NORMAL)
    assert last.is_usual
    assert last.family[0, COUNT] == before[-1].family[0, COUNT] + 1
    assert last.total < 5 + 50


def test_a_supraventricular_beat_is_early_and_of_the_usual_shape(describer: BeatDescriber) -> None:
    beat = told(describer, WITHOUT_P, 0.5, 0.9)
    assert beat["rr_before_to_last_10"] == pytest.approx(np.log(0.5 / 0.8), abs=0.01)
    assert beat["usual_correlation"] > 0.98
    assert beat["p_unlikeness"] > told(describer, NORMAL, 0.8, 0.8)["p_unlikeness"]


def test_a_ventricular_beat_is_wide_and_of_another_shape(describer: BeatDescriber) -> None:
    beat = told(describer, VENTRICULAR, 0.5, 1.1)
    assert beat["usual_correlation"] < 0
    assert beat["qrs_width_to_usual"] > 0.3
    assert beat["family_likeness"] < 0.9


def test_what_a_family_usually_does_is_told_of_its_next_member(describer: BeatDescriber) -> None:
    for _ in range(5):
        told(describer, VENTRICULAR, 0.5, 1.1)
        told(describer, NORMAL, 1.1, 0.8)
    late = told(describer, VENTRICULAR, 0.8, 0.8)
    assert late["family_early"] < -0.3
    assert late["family_pause"] > 0.2


def test_p_waves_that_are_never_the_same_are_told_to_be_unsteady(describer: BeatDescriber) -> None:
    steady = told(describer, NORMAL, 0.8, 0.8)["p_steady"]
    random = np.random.default_rng(2)
    for _ in range(60):
        height_mv, at_s = random.uniform(-0.1, 0.1), random.uniform(-0.2, -0.1)
        told(describer, WITHOUT_P + bump(at_s, 0.02, height_mv), random.uniform(0.5, 1.1), 0.8)
    assert told(describer, WITHOUT_P, 0.8, 0.8)["p_steady"] < steady / 2


def test_the_waveform_is_in_units_of_the_usual_qrs_height_and_without_the_usual_beat(describer: BeatDescriber) -> None:
    waveform, _ = describer.describe(NORMAL, rr_before_s=0.8, rr_after_s=0.8)
    assert waveform.shape == (len(NORMAL) // 2, 2)
    assert np.ptp(waveform[:, 0]) == pytest.approx(1, abs=0.05)
    assert np.abs(waveform[:, 1]).max() < 0.01


def test_the_examples_contract_names_the_features_in_the_order_they_come(demo_record: Path) -> None:
    path = demo_record.parent.parent / "ecg_beats.toml"
    contract = load_toml(path, ModelContract, what="contract")
    (taken,) = [wanted for wanted in contract.input.inputs if wanted.takes == "features"]
    assert taken.features == FEATURE_NAMES
    assert taken.shape == (len(FEATURE_NAMES),)
