"""From samples to heartbeats: `BeatBank` with one lane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_sdk.beats.bank import BeatBank, Beats, ecg_sections
from edge_sdk.filters import StreamFilter
from edge_sdk.lanes import Hops
from edge_sdk.tensors import FloatArray

_LANE = np.zeros(1, np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """One heartbeat.

    Attributes:
        r_index: Sample of its R peak, counted from the start of the stream.
        waveform: float32, shape (time, 2), at half the sample rate; see `BeatDescriberBank.describe`.
        features: float32, shape (features,), each within -1 to 1; see `edge_sdk.beats.FEATURE_NAMES`.
        rr_s: Seconds since the previous R peak; NaN for the first.
    """

    r_index: int
    waveform: FloatArray
    features: FloatArray
    rr_s: float


class BeatWindower:
    """Finds the beats of one ECG lead and describes each. The result never depends on the blocks' sizes.

    Args:
        sample_rate_hz: Samples per second, 100 to 1000.
        before_s: Seconds of waveform before the R peak.
        after_s: Seconds of waveform from the R peak on.
    """

    def __init__(self, *, sample_rate_hz: float, before_s: float, after_s: float) -> None:
        self._bank = BeatBank(sample_rate_hz=sample_rate_hz, before_s=before_s, after_s=after_s)
        self._bank.resize(1)
        self._hops = Hops(self._bank.hop)

    def push(self, samples: FloatArray) -> list[Beat]:
        """Take the next samples, float32 of shape (n,), in mV, NaN where missing; return the beats they complete."""
        return [beat for hop in self._hops.push(samples) for beat in _each(self._bank.step(_LANE, hop))]

    def flush(self) -> list[Beat]:
        """End the stream and return its last beats."""
        found = [beat for hop in self._hops.flush() for beat in _each(self._bank.step(_LANE, hop))]
        found += _each(self._bank.finish(_LANE))
        return [beat for beat in found if beat.r_index < self._hops.received]


def ecg_filter(sample_rate_hz: float) -> StreamFilter:
    """Return the filter that beats are cut from, for one lead."""
    return StreamFilter(ecg_sections(sample_rate_hz))


def _each(beats: Beats) -> list[Beat]:
    rows = zip(beats.r_index.tolist(), beats.waveform, beats.features, beats.rr_s.tolist(), strict=True)
    return [Beat(r_index=r_index, waveform=wave, features=told, rr_s=rr_s) for r_index, wave, told, rr_s in rows]
