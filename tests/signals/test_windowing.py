from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.beats import FEATURE_NAMES
from edge_sdk.contracts import BeatWindows, FixedWindows, InputContract, ModelInput, Windows
from edge_sdk.errors import SignalError
from edge_sdk.preprocessing import prepare
from edge_sdk.signals import SignalFormat
from edge_sdk.windowing import Window, windower_for
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
