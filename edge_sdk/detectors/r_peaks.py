"""Finds the R peaks of one ECG lead in an endless stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_sdk.detectors.qrs_candidates import Candidate, CandidateFinder
from edge_sdk.detectors.qrs_rules import BeatRules
from edge_sdk.errors import SignalError

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 100.0, 1000.0


class RPeakDetector:
    """Streaming R-peak detector for one lead: energy envelope, adaptive thresholds, search-back.

    What it returns never depends on how samples were split into blocks.

    Args:
        sample_rate_hz: 100 to 1000.

    Attributes:
        max_delay_samples: A peak is returned at most this many samples after it.

    Raises:
        SignalError: The sample rate is outside that range.
    """

    def __init__(self, *, sample_rate_hz: float) -> None:
        if not LOWEST_RATE_HZ <= sample_rate_hz <= HIGHEST_RATE_HZ:
            raise SignalError(
                f"R peaks cannot be found in a signal sampled at {sample_rate_hz:g} Hz",
                remedy=f"resample it to between {LOWEST_RATE_HZ:g} and {HIGHEST_RATE_HZ:g} Hz",
            )
        self._finder = CandidateFinder(sample_rate_hz=sample_rate_hz)
        self._rules = BeatRules(sample_rate_hz)
        self._waiting: NDArray[np.float32] = np.empty(0, np.float32)
        self._received = 0
        self.max_delay_samples = self._finder.delay + self._rules.delay

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take the next samples, shape (n,), in mV, NaN where missing.

        Returns:
            Indices of the R peaks they confirm, shape (k,), counted from the first sample ever pushed, increasing.
        """
        self._received += len(samples)
        pending = np.concatenate([self._waiting, samples])
        whole = len(pending) - len(pending) % self._finder.hop
        beats: list[Candidate] = []
        for at in range(0, whole, self._finder.hop):
            beats += self._step(pending[at : at + self._finder.hop])
        self._waiting = pending[whole:].copy()
        return _indices(beats)

    def flush(self) -> NDArray[np.int64]:
        """End the stream: return the R peaks not yet confirmed, as `push` does. Push nothing afterwards."""
        beats: list[Candidate] = []
        silence = np.full(self._finder.delay + self._finder.hop, np.nan, np.float32)
        pending = np.concatenate([self._waiting, silence])
        for at in range(0, len(pending) - self._finder.hop, self._finder.hop):
            beats += self._step(pending[at : at + self._finder.hop])
        beats += self._rules.finish()
        return _indices([beat for beat in beats if beat.r_index < self._received])

    def _step(self, hop: NDArray[np.float32]) -> list[Candidate]:
        candidates = self._finder.step(hop.astype(np.float64))
        return self._rules.judge(candidates, self._finder.settled)


def _indices(beats: list[Candidate]) -> NDArray[np.int64]:
    return np.array([beat.r_index for beat in beats], np.int64)
