"""From one sample rate to another: causal, block by block, and never across a missing sample.

A windowed sinc (J. O. Smith, *Digital Audio Resampling*). Up to 0.4 of the lower rate it changes a sine by less than
0.1 %; of what lies above 0.6 of it less than 0.1 % comes through.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import SignalError
from edge_sdk.tensors import FloatArray

Float64Array = NDArray[np.float64]

_HALF_WIDTH = 10  # samples of the lower rate that a new sample depends on, to each side
_KAISER_BETA = 6.0  # stops 63 dB with a transition of 0.2 of the lower rate at that width (Kaiser 1974)
_LARGEST_PHASES = 2_000


class RateResampler:
    """From one even rate to another. Output ``k`` is the signal at ``k / to_hz`` seconds.

    An output that would depend on a missing sample, or on one before the first or after the last, is NaN: up to
    `reach_s` to each side.

    Args:
        from_hz: Rate of what comes.
        to_hz: Rate of what is given.
        channels: Columns of the samples.

    Raises:
        SignalError: The rates' ratio is that of no two integers up to 2,000.
    """

    def __init__(self, *, from_hz: float, to_hz: float, channels: int = 1) -> None:
        ratio = Fraction(from_hz / to_hz).limit_denominator(_LARGEST_PHASES)
        if abs(float(ratio) * to_hz / from_hz - 1) > 1e-9:  # noqa: PLR2004  # 30 ms in a year
            raise SignalError(
                f"{from_hz:g} Hz cannot be resampled to {to_hz:g} Hz",
                remedy="give rates whose ratio is that of two integers up to 2,000",
            )
        self._step, self._phases = ratio.numerator, ratio.denominator
        stretch = max(1.0, from_hz / to_hz)
        self._half = math.ceil(_HALF_WIDTH * stretch)
        self._kernels = _kernels(self._phases, self._half, stretch)
        self._held: FloatArray = np.full((self._half - 1, channels), np.nan, np.float32)
        self._first = 1 - self._half  # index of the first held sample
        self._next = 0  # index of the next output
        self.reach_s = self._half / from_hz
        """Seconds by which an output is later than the sample it stands for."""

    def push(self, samples: FloatArray) -> FloatArray:
        """Take samples of shape (n, channels), NaN where missing; return what can be said by now, (m, channels)."""
        self._held = np.concatenate([self._held, samples])
        end = self._first + len(self._held)  # an output needs the samples up to its place + half
        outputs = max(0, -(-(end - self._half) * self._phases // self._step) - self._next)
        return self._given(outputs)

    def flush(self) -> FloatArray:
        """Return what is left: the stream has ended."""
        received = self._first + len(self._held)
        outputs = max(0, -(-received * self._phases // self._step) - self._next)
        lacking = np.full((self._half, self._held.shape[1]), np.nan, np.float32)
        self._held = np.concatenate([self._held, lacking])
        return self._given(outputs)

    def _given(self, outputs: int) -> FloatArray:
        places = (self._next + np.arange(outputs)) * self._step
        before, phase = places // self._phases, places % self._phases
        rows = (before - self._first)[:, np.newaxis] + np.arange(1 - self._half, self._half + 1)
        taken = self._held[rows].astype(np.float64) if outputs else np.zeros((0, 1, self._held.shape[1]))
        given: FloatArray = (taken * self._kernels[phase][:, :, np.newaxis]).sum(axis=1).astype(np.float32)
        self._next += outputs
        oldest = self._next * self._step // self._phases + 1 - self._half
        self._held, self._first = self._held[oldest - self._first :], oldest
        return given


def _kernels(phases: int, half: int, stretch: float) -> Float64Array:
    """Return the weights of the samples from ``1 - half`` to ``half`` around every phase, shape (phases, 2 * half)."""
    at = np.arange(1 - half, half + 1) - np.arange(phases)[:, np.newaxis] / phases
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (at / half) ** 2, 0, None)))
    weights = np.sinc(at / stretch) * window
    weights /= weights.sum(axis=1, keepdims=True)  # a constant stays one
    return weights
