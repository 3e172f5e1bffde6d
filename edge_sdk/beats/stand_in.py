"""Detector and filter of many lanes, one lane at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_sdk.detectors.r_peaks import RPeakDetector
from edge_sdk.filters import Biquad, StreamFilter
from edge_sdk.tensors import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class RPeaks:
    """R peaks, sorted by lane, then time."""

    lane: IntArray
    r_index: IntArray


class RPeakBank:
    """Finds R peaks."""

    def __init__(self, *, sample_rate_hz: float) -> None:
        self._rate, self._lanes = sample_rate_hz, list[RPeakDetector]()
        self.max_delay_samples = RPeakDetector(sample_rate_hz=sample_rate_hz).max_delay_samples

    def resize(self, lanes: int) -> None:
        """Make room."""
        self._lanes += [RPeakDetector(sample_rate_hz=self._rate) for _ in range(lanes - len(self._lanes))]

    def reset(self, lanes: IntArray) -> None:
        """Begin anew."""
        for lane in lanes:
            self._lanes[lane] = RPeakDetector(sample_rate_hz=self._rate)

    def step(self, lanes: IntArray, samples: FloatArray) -> RPeaks:
        """Take a hop."""
        return _peaks(lanes, [self._lanes[lane].push(column) for lane, column in zip(lanes, samples.T, strict=True)])

    def finish(self, lanes: IntArray) -> RPeaks:
        """Return what is left."""
        return _peaks(lanes, [self._lanes[lane].flush() for lane in lanes])


def _peaks(lanes: IntArray, found: list[IntArray]) -> RPeaks:
    lane = np.repeat(lanes, [len(peaks) for peaks in found])
    return RPeaks(lane=lane, r_index=np.concatenate([np.empty(0, np.int64), *found]))


class FilterBank:
    """Filters."""

    def __init__(self, sections: Sequence[Biquad], *, hop: int) -> None:
        self._sections, self._hop, self._lanes = sections, hop, list[StreamFilter]()

    def resize(self, lanes: int) -> None:
        """Make room."""
        self._lanes += [StreamFilter(self._sections, hop=self._hop) for _ in range(lanes - len(self._lanes))]

    def reset(self, lanes: IntArray) -> None:
        """Begin anew."""
        for lane in lanes:
            self._lanes[lane] = StreamFilter(self._sections, hop=self._hop)

    def step(self, lanes: IntArray, samples: FloatArray) -> FloatArray:
        """Take a hop."""
        return np.stack([self._lanes[lane].push(column) for lane, column in zip(lanes, samples.T, strict=True)], axis=1)
