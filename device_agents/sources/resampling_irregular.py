"""Samples with uneven times on an even grid: causal, block by block, and never across a gap.

Cubic Hermite polynomials, whose slope at a sample is that between its two neighbours. (A parabola through the three is
exacter for smooth times, and worse for a camera's: two frames a millisecond apart would decide the slope with their
noise.) Nothing is filtered: where samples are denser than the grid, choose a denser grid and take that down with
`RateResampler`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import SignalError
from edge_sdk.tensors import FloatArray

Float64Array = NDArray[np.float64]

_SAME_TIME = 1e-3  # of an output's interval; times since 1970 in floating point are exact to 0.2 us only
LONGEST_GAP_S = 24 * 3600.0
"""A longer one is two recordings."""


class IrregularResampler:
    """From samples with their own times to an even rate. Output ``k`` is the signal ``k / rate_hz`` after the first.

    Between two samples further apart than the longest gap every output is NaN.

    Args:
        rate_hz: Rate of what is given.
        longest_gap_s: Seconds between two samples that may be bridged.
        channels: Columns of the samples.
    """

    def __init__(self, *, rate_hz: float, longest_gap_s: float, channels: int = 1) -> None:
        self._rate_hz, self._limit_s = rate_hz, longest_gap_s
        self._times: Float64Array = np.zeros(0)
        self._values: Float64Array = np.zeros((0, channels))
        self._begun_s: float | None = None
        self._next = 0
        self._bridged = 0  # how many of the held samples have all their outputs given

    def push(self, times_s: Float64Array, samples: FloatArray) -> FloatArray:
        """Take samples of shape (n, channels) at increasing times; return what can be said by now, shape (m, channels).

        A sample with NaN in any channel is left out.

        Raises:
            SignalError: Times do not increase, or by more than a day.
        """
        measured = np.isfinite(samples).all(axis=1)
        if self._begun_s is None and measured.any():
            self._begun_s = float(times_s[measured][0])
        times = np.concatenate([self._times, times_s[measured]])
        apart = np.diff(times)
        if (apart <= 0).any():
            raise SignalError("the times of samples do not increase", remedy="sort them, and leave doubles out")
        if (apart > LONGEST_GAP_S).any():
            raise SignalError("there is more than a day between two samples", remedy="make two streams of them")
        self._times, self._values = times, np.concatenate([self._values, samples[measured].astype(np.float64)])
        # The slope at a sample needs the next one: the last interval has to wait.
        given = self._given(len(times) - 2)
        self._drop()
        return given

    def flush(self) -> FloatArray:
        """Return what is left: the stream has ended."""
        return self._given(len(self._times) - 1)

    def _given(self, last: int) -> FloatArray:
        """Return the outputs up to the time of held sample ``last``."""
        if last < 0 or self._begun_s is None:
            return np.zeros((0, self._values.shape[1]), np.float32)
        end = math.floor((self._times[last] - self._begun_s) * self._rate_hz + _SAME_TIME) + 1
        at_s = self._begun_s + np.arange(self._next, max(end, self._next)) / self._rate_hz
        self._next += len(at_s)
        self._bridged = last
        return _cubic(self._times, self._values, at_s, self._limit_s, _SAME_TIME / self._rate_hz).astype(np.float32)

    def _drop(self) -> None:
        keep_from = max(0, self._bridged - 1)  # the slope at the next interval's begin needs the sample before it
        self._times, self._values = self._times[keep_from:], self._values[keep_from:]
        self._bridged -= keep_from


def _cubic(
    times: Float64Array, values: Float64Array, at_s: Float64Array, limit_s: float, same_s: float
) -> Float64Array:
    if len(times) == 1:
        return values[np.zeros(len(at_s), np.int64)]
    apart = np.diff(times)
    slopes = _slopes(values, apart, limit_s)
    left = np.clip(np.searchsorted(times + same_s, at_s) - 1, 0, len(apart) - 1)
    width = apart[left, np.newaxis]
    u = (at_s - times[left])[:, np.newaxis] / width
    y0, y1, m0, m1 = values[left], values[left + 1], slopes[left] * width, slopes[left + 1] * width
    found = y0 + u * (m0 + u * (3 * (y1 - y0) - 2 * m0 - m1 + u * (m0 + m1 - 2 * (y1 - y0))))
    inside = (at_s - times[left] > same_s) & (times[left + 1] - at_s > same_s)  # on a sample, it is that sample
    found[inside & (width > limit_s)[:, 0]] = np.nan
    return found


def _slopes(values: Float64Array, apart: Float64Array, limit_s: float) -> Float64Array:
    """Return the slope at each sample between its neighbours; beside a gap or an end, towards the one it has."""
    steps = np.where((apart <= limit_s)[:, np.newaxis], np.diff(values, axis=0), 0.0)
    widths = np.where(apart <= limit_s, apart, 0.0)
    rise, run = np.zeros_like(values), np.zeros(len(values))
    rise[:-1], run[:-1] = steps, widths
    rise[1:] += steps
    run[1:] += widths
    return rise / np.where(run > 0, run, 1.0)[:, np.newaxis]
