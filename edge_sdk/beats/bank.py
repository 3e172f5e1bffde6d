"""From samples to heartbeats, of many leads at once, each as soon as its successor is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.beats.describer import FEATURE_NAMES, BeatDescriberBank
from edge_sdk.beats.rhythm import LONGEST_RR_S, SHORTEST_RR_S
from edge_sdk.beats.stand_in import FilterBank, RPeakBank
from edge_sdk.beats.waiting import WaitingPeaks
from edge_sdk.filters import Biquad, high_pass, low_pass
from edge_sdk.lanes import SignalRing, grown, hop_of
from edge_sdk.tensors import FloatArray, IntArray

# Baseline wander lies below, the QRS complex and P wave above 0.5 Hz; little of either lies above 40 Hz
# (AHA recommendations for monitoring electrocardiography).
BASELINE_HZ, MUSCLE_HZ = 0.5, 40.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Beats:
    """Heartbeats, sorted by lane, then time; one row each.

    Attributes:
        lane: int64 (b,).
        r_index: int64 (b,), sample of the R peak, counted from the start of the lane's stream.
        waveform: float32 (b, time, 2), at half the sample rate; see `BeatDescriberBank.describe`.
        features: float32 (b, features), each within -1 to 1; see `edge_sdk.beats.FEATURE_NAMES`.
        rr_s: float64 (b,), seconds since the previous R peak; NaN for a lane's first.
    """

    lane: IntArray
    r_index: IntArray
    waveform: FloatArray
    features: FloatArray
    rr_s: NDArray[np.float64]


class BeatBank:
    """Finds the beats of many ECG leads, a lane each, and describes them: at most one a hop and lane.

    Args:
        sample_rate_hz: Samples per second, 100 to 1000.
        before_s: Seconds of waveform before the R peak.
        after_s: Seconds of waveform from the R peak on.

    Attributes:
        hop: Samples of each lane that `step` takes.
        before: Samples of a beat before its R peak.
        after: Samples from the R peak on.
        peaks: The R peaks that the last `step` found, whose beats come later; `lane` and `r_index`.
        delay: A peak is found at most so many samples after it.
    """

    def __init__(self, *, sample_rate_hz: float, before_s: float, after_s: float) -> None:
        rate = self._rate = sample_rate_hz
        self.hop, self.before, self.after = hop_of(rate), round(before_s * rate), round(after_s * rate)
        self._filter = FilterBank(ecg_sections(rate), hop=self.hop)
        self._detector = RPeakBank(sample_rate_hz=rate)
        self.delay = self._detector.max_delay_samples
        self.peaks = self._detector.finish(np.empty(0, np.int64))
        patience = round(LONGEST_RR_S * rate) + self._detector.max_delay_samples
        # Zeros before a stream's first sample, and after its last, are kept as well.
        kept = self.before + patience + self.after + 2 * self.hop
        most = math.ceil(kept / (SHORTEST_RR_S * rate))
        self._waiting = WaitingPeaks(after=self.after, patience=patience, most=most)
        time = self.before + self.after
        self._ring = SignalRing(hop=self.hop, keep=self.before + kept, reach=time)
        self._describer = BeatDescriberBank(sample_rate_hz=rate, r_index=self.before, time=time)
        self._previous: NDArray[np.float64] = np.empty(0)
        self._none = Beats(
            lane=np.empty(0, np.int64),
            r_index=np.empty(0, np.int64),
            waveform=np.empty((0, (time + 1) // 2, 2), np.float32),
            features=np.empty((0, len(FEATURE_NAMES)), np.float32),
            rr_s=np.empty(0),
        )

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; new ones are fresh."""
        fresh = np.arange(len(self._previous), lanes)
        for part in (self._filter, self._detector, self._waiting, self._ring, self._describer):
            part.resize(lanes)
        self._previous = grown(self._previous, lanes)
        self._previous[fresh] = np.nan

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""
        for part in (self._filter, self._detector, self._waiting, self._ring, self._describer):
            part.reset(lanes)
        self._previous[lanes] = np.nan

    def step(self, lanes: IntArray, samples: FloatArray) -> Beats:
        """Take the next hop of these lanes and return beats that are complete.

        Args:
            lanes: Shape (k,), strictly increasing.
            samples: float32, shape (hop, k), in mV, NaN where missing.
        """
        peaks = self.peaks = self._detector.step(lanes, samples)
        self._ring.write(lanes, self._filter.step(lanes, samples))
        if len(peaks.lane):
            self._waiting.push(peaks.lane, peaks.r_index)
        return self._describe(self._waiting.complete(lanes, self._ring.received[lanes]))

    def finish(self, lanes: IntArray) -> Beats:
        """Return the beats that were waiting for their successor. These lanes' streams have ended; reset them."""
        peaks = self._detector.finish(lanes)
        self._waiting.push(peaks.lane, peaks.r_index)
        for _ in range(0, self.after, self.hop):
            self._ring.write(lanes, np.zeros((self.hop, len(lanes)), np.float32))
        found = [self._none]
        while len(left := self._waiting.waiting(lanes)):
            found.append(self._describe(left))
        return _joined(found)

    def _describe(self, lanes: IntArray) -> Beats:
        """Return the first waiting beat of each of these lanes."""
        if not len(lanes):
            return self._none
        r_index, following = self._waiting.pop(lanes)
        rr_s = (r_index - self._previous[lanes]) / self._rate
        after_s = np.where(following >= 0, (following - r_index) / self._rate, LONGEST_RR_S)
        self._previous[lanes] = r_index
        cut = self._ring.cut(lanes, r_index - self.before)[:, :, 0]
        waveform, features = self._describer.describe(lanes, cut, rr_s, after_s)
        return Beats(lane=lanes, r_index=r_index, waveform=waveform, features=features, rr_s=rr_s)


def ecg_sections(sample_rate_hz: float) -> tuple[Biquad, ...]:
    """Return the filter that beats are cut from: without baseline wander and muscle noise."""
    high = high_pass(cutoff_hz=BASELINE_HZ, sample_rate_hz=sample_rate_hz)
    return high + low_pass(cutoff_hz=MUSCLE_HZ, sample_rate_hz=sample_rate_hz)


def _joined(found: list[Beats]) -> Beats:
    lane = np.concatenate([beats.lane for beats in found])
    order = np.argsort(lane, kind="stable")
    return Beats(
        lane=lane[order],
        r_index=np.concatenate([beats.r_index for beats in found])[order],
        waveform=np.concatenate([beats.waveform for beats in found])[order],
        features=np.concatenate([beats.features for beats in found])[order],
        rr_s=np.concatenate([beats.rr_s for beats in found])[order],
    )
