"""Where a QRS complex may be: the peaks of an ECG's energy around 10 Hz.

The envelope is the root of the mean energy in a band, ``band² + (band' / ω)²``, over the length of a QRS complex: a
wave and its quarter-period neighbour together have no ripple, so its shape does not depend on polarity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_sdk.filters import Float64Array, HopFilter, group_delay_s, high_pass, hold_missing, low_pass

# Chosen on MIT-BIH DS1; QRS energy peaks at 10 to 15 Hz, T and P waves lie below, muscle noise above
# (Thakor, Webster & Tompkins 1984).
LOW_HZ, HIGH_HZ = 8.0, 20.0
QRS_S = 0.080
RIVAL_S = 0.100
SLOPE_S = 0.060
HOP_S = 0.100

# Where the main deflection is looked for, around the middle of the energy.
SEARCH_S = 0.110
# A beat keeps the polarity of those before it unless the other side is this much larger.
POLARITY_INERTIA = 1.4


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A peak of the envelope.

    Attributes:
        index: Sample of the envelope's peak, counted from the start of the stream.
        r_index: Sample of the main deflection.
        height: Envelope there, in the signal's unit.
        slope: Steepest change of the band within reach, per second.
    """

    index: int
    r_index: int
    height: float
    slope: float


class CandidateFinder:
    """Turns hops of one lead into candidates, in order, each once and for ever.

    Attributes:
        hop: Samples per call of `step`.
        settled: Number of samples, from the start of the stream, that no later candidate can lie in.
        delay: Samples from a candidate's R peak to the call that returns it, at most.
    """

    def __init__(self, *, sample_rate_hz: float) -> None:
        rate = sample_rate_hz
        bands = high_pass(cutoff_hz=LOW_HZ, sample_rate_hz=rate) + low_pass(cutoff_hz=HIGH_HZ, sample_rate_hz=rate)
        middle_hz = math.sqrt(LOW_HZ * HIGH_HZ)
        self.hop = round(HOP_S * rate)
        self._filter = HopFilter(bands, hop=self.hop)
        self._state = self._filter.resting_state(np.array(0.0))
        self._per_omega = rate / (2 * math.pi * middle_hz)
        self._rate = rate
        self._smooth = max(1, round(QRS_S * rate / 2))
        self._rival, self._slope_reach = round(RIVAL_S * rate), round(SLOPE_S * rate)
        self._search = round(SEARCH_S * rate)
        self._lag = round(group_delay_s(bands, frequency_hz=middle_hz, sample_rate_hz=rate) * rate)
        self._kept = self.hop + 2 * (self._rival + self._smooth + self._lag + self._search + 2)
        self._raw, self._band, self._envelope = (np.zeros(self._kept) for _ in range(3))
        self._energy = np.zeros(self.hop + 2 * self._smooth)
        self._seen = 0
        self._last, self._offset, self._gap = np.array(np.nan), 0.0, False
        self._polarity = 1.0
        # The newest value of the envelope belongs to the middle of its mean, and a peak must outlast its rivals.
        self._reach = self._smooth + 1 + self._rival
        self.settled = 0
        self.delay = self.hop + self._reach + self._lag + self._search

    def step(self, samples: Float64Array) -> list[Candidate]:
        """Take ``hop`` samples, NaN where missing, and return the candidates they settle."""
        joined = self._join(samples)
        band, self._state = self._filter.step(joined, self._state)
        _slide(self._raw, joined)
        _slide(self._band, band)
        self._extend_envelope()
        self._seen += self.hop
        self.settled = self._seen - self._reach - self._lag
        return [found for found in map(self._candidate, self._peaks()) if found.r_index >= 0]

    def _join(self, samples: Float64Array) -> Float64Array:
        """Hold missing samples, and shift what follows a gap to where the signal was before it.

        A gap's end then makes no step for the filter to ring on.
        """
        if np.isnan(self._last):
            present = samples[~np.isnan(samples)]
            if not len(present):
                return np.zeros(len(samples))
            self._last, self._offset = present[0], -float(present[0])
        held = hold_missing(samples, self._last)
        before = np.append(self._last, held[:-1])
        missing = np.isnan(samples)
        ends = ~missing & np.append(self._gap, missing[:-1])
        jumps = np.where(ends, before - held, 0.0)
        offsets = self._offset + np.cumsum(jumps)
        self._last, self._offset, self._gap = held[-1], float(offsets[-1]), bool(missing[-1])
        joined: Float64Array = held + offsets
        return joined

    def _extend_envelope(self) -> None:
        band = self._band[-self.hop - 2 :]
        change = (band[2:] - band[:-2]) * (self._per_omega / 2)
        _slide(self._energy, band[1:-1] ** 2 + change**2)
        mean = np.convolve(self._energy, np.full(2 * self._smooth + 1, 1 / (2 * self._smooth + 1)), mode="valid")
        _slide(self._envelope, np.sqrt(np.maximum(mean, 0.0)))

    def _peaks(self) -> list[int]:
        """Return positions in the kept envelope that are the highest within reach on both sides."""
        end = self._kept - self._rival
        near = self._envelope[end - self.hop - 1 : end + 1]
        tops = np.flatnonzero((near[1:-1] > near[:-2]) & (near[1:-1] >= near[2:])) + end - self.hop
        return [at for at in tops.tolist() if self._is_highest(at)]

    def _is_highest(self, at: int) -> bool:
        height = self._envelope[at]
        before, after = self._envelope[at - self._rival : at], self._envelope[at + 1 : at + 1 + self._rival]
        return bool(height >= after.max() and height > before.max())

    def _candidate(self, at: int) -> Candidate:
        # The envelope's buffer ends earlier than the others' by its two-sided mean.
        place = at - self._smooth - 1
        nearby = self._band[place - self._slope_reach : place + self._slope_reach + 1]
        middle = place - self._lag
        start = self._seen - self._kept
        return Candidate(
            index=start + middle,
            r_index=start + middle + self._main_deflection(middle),
            height=float(self._envelope[at]),
            slope=float(np.abs(np.diff(nearby)).max()) * self._rate,
        )

    def _main_deflection(self, middle: int) -> int:
        """Return how far from the energy's middle the deflection of the usual polarity is largest."""
        wave = self._raw[middle - self._search : middle + self._search + 1]
        level = np.median(wave)
        up, down = float(wave.max() - level), float(level - wave.min())
        inertia = POLARITY_INERTIA if self._polarity > 0 else 1 / POLARITY_INERTIA
        upward = up * inertia >= down
        self._polarity += 0.1 * ((up > down) * 2 - 1 - self._polarity)
        return int(np.argmax(wave) if upward else np.argmin(wave)) - self._search


def _slide(kept: Float64Array, new: Float64Array) -> None:
    """Append to a buffer of fixed length, forgetting its oldest values."""
    kept[: -len(new)] = kept[len(new) :]
    kept[-len(new) :] = new
