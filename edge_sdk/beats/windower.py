"""From samples to heartbeats, one at a time, each as soon as its successor is known."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from edge_sdk.beats.describer import BeatDescriber
from edge_sdk.beats.rhythm import LONGEST_RR_S
from edge_sdk.detectors.r_peaks import RPeakDetector
from edge_sdk.filters import StreamFilter, high_pass, low_pass
from edge_sdk.tensors import FloatArray

# Baseline wander lies below, the QRS complex and P wave above 0.5 Hz; little of either lies above 40 Hz
# (AHA recommendations for monitoring electrocardiography).
BASELINE_HZ, MUSCLE_HZ = 0.5, 40.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """One heartbeat.

    Attributes:
        r_index: Sample of its R peak, counted from the start of the stream.
        waveform: float32, shape (time, 2), at half the sample rate; see `BeatDescriber.describe`.
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
        rate = sample_rate_hz
        self._rate = rate
        self.before, self.after = round(before_s * rate), round(after_s * rate)
        self._filter = ecg_filter(rate)
        self._detector = RPeakDetector(sample_rate_hz=rate)
        self._patience = round(LONGEST_RR_S * rate) + self._detector.max_delay_samples
        self._kept: FloatArray = np.zeros(self.before, np.float32)
        self._kept_from = -self.before
        self._received = 0
        self._peaks: deque[int] = deque()
        self._previous: int | None = None
        self._describer = BeatDescriber(sample_rate_hz=rate, r_index=self.before)

    def push(self, samples: FloatArray) -> list[Beat]:
        """Take the next samples, float32 of shape (n,), in mV, NaN where missing; return the beats they complete."""
        self._received += len(samples)
        self._peaks.extend(self._detector.push(samples).tolist())
        self._keep(self._filter.push(samples))
        return self._complete()

    def flush(self) -> list[Beat]:
        """End the stream and return its last beats."""
        self._peaks.extend(self._detector.flush().tolist())
        self._keep(self._filter.flush())
        self._keep(np.zeros(self.after, np.float32))
        self._received += self._patience
        return self._complete()

    def _keep(self, filtered: FloatArray) -> None:
        kept = np.concatenate([self._kept, filtered])
        needed_from = (self._peaks[0] if self._peaks else self._received - self._patience) - self.before
        surplus = min(max(0, needed_from - self._kept_from), max(0, len(kept) - 1))
        self._kept, self._kept_from = kept[surplus:], self._kept_from + surplus

    def _complete(self) -> list[Beat]:
        beats = []
        while self._peaks and self._ready(self._peaks[0]):
            beats.append(self._describe(self._peaks.popleft()))
        return beats

    def _ready(self, r_index: int) -> bool:
        known = len(self._peaks) > 1 or self._received >= r_index + self._patience
        return known and self._kept_from + len(self._kept) >= r_index + self.after

    def _describe(self, r_index: int) -> Beat:
        rr_s = (r_index - self._previous) / self._rate if self._previous is not None else float("nan")
        after_s = (self._peaks[0] - r_index) / self._rate if self._peaks else LONGEST_RR_S
        self._previous = r_index
        start = r_index - self.before - self._kept_from
        beat = self._kept[start : start + self.before + self.after]
        waveform, features = self._describer.describe(beat, rr_before_s=rr_s, rr_after_s=after_s)
        return Beat(r_index=r_index, waveform=waveform, features=features, rr_s=rr_s)


def ecg_filter(sample_rate_hz: float) -> StreamFilter:
    """Return the filter that beats are cut from: without baseline wander and muscle noise."""
    high = high_pass(cutoff_hz=BASELINE_HZ, sample_rate_hz=sample_rate_hz)
    return StreamFilter(high + low_pass(cutoff_hz=MUSCLE_HZ, sample_rate_hz=sample_rate_hz))
