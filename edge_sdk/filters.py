"""Causal filters for endless streams, in plain numpy.

Sections are designed in closed form: R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter
coefficients" (W3C note, 2021), cascaded with the quality factors of a Butterworth filter. A recursion is run a *hop* of
samples at a time as one matrix product: output and next state are linear in input and state. Hops are aligned to the
absolute sample index, so results never depend on how samples were split into blocks.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import SignalError

Float64Array = NDArray[np.float64]
Float32Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Biquad:
    """``y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2]``."""

    b0: float
    b1: float
    b2: float
    a1: float
    a2: float


def high_pass(*, cutoff_hz: float, sample_rate_hz: float, order: int = 2) -> tuple[Biquad, ...]:
    """Return a Butterworth high-pass of even order, -3 dB at the cut-off."""
    return tuple(_section("high", cutoff_hz, sample_rate_hz, q) for q in _butterworth_qs(order))


def low_pass(*, cutoff_hz: float, sample_rate_hz: float, order: int = 2) -> tuple[Biquad, ...]:
    """Return a Butterworth low-pass of even order, -3 dB at the cut-off."""
    return tuple(_section("low", cutoff_hz, sample_rate_hz, q) for q in _butterworth_qs(order))


def notch(*, centre_hz: float, sample_rate_hz: float, q: float = 30.0) -> tuple[Biquad, ...]:
    """Return a notch that removes one frequency (mains hum) in a band ``centre_hz / q`` wide."""
    return (_section("notch", centre_hz, sample_rate_hz, q),)


def _butterworth_qs(order: int) -> list[float]:
    if order < 2 or order % 2:  # noqa: PLR2004
        raise SignalError(f"a filter's order must be even and at least 2, not {order}")
    return [1 / (2 * math.cos((2 * k + 1) * math.pi / (2 * order))) for k in range(order // 2)]


def _section(kind: str, frequency_hz: float, sample_rate_hz: float, q: float) -> Biquad:
    if not 0 < frequency_hz < sample_rate_hz / 2:
        raise SignalError(
            f"a filter at {frequency_hz:g} Hz does not fit a signal sampled at {sample_rate_hz:g} Hz",
            remedy="choose a frequency below half the sample rate",
        )
    turn = 2 * math.pi * frequency_hz / sample_rate_hz
    cosine, alpha = math.cos(turn), math.sin(turn) / (2 * q)
    b0, b1, b2 = {
        "low": ((1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2),
        "high": ((1 + cosine) / 2, -(1 + cosine), (1 + cosine) / 2),
        "notch": (1.0, -2 * cosine, 1.0),
    }[kind]
    a0 = 1 + alpha
    return Biquad(b0=b0 / a0, b1=b1 / a0, b2=b2 / a0, a1=-2 * cosine / a0, a2=(1 - alpha) / a0)


def response(sections: Sequence[Biquad], *, frequency_hz: float, sample_rate_hz: float) -> complex:
    """Return the complex gain at one frequency."""
    z = cmath.exp(-2j * math.pi * frequency_hz / sample_rate_hz)
    gain = 1 + 0j
    for s in sections:
        gain *= (s.b0 + s.b1 * z + s.b2 * z * z) / (1 + s.a1 * z + s.a2 * z * z)
    return gain


def group_delay_s(sections: Sequence[Biquad], *, frequency_hz: float, sample_rate_hz: float) -> float:
    """Return by how many seconds the filter delays a packet of waves at one frequency."""
    step_hz = 1e-3 * frequency_hz
    above, below = (
        response(sections, frequency_hz=frequency_hz + side * step_hz, sample_rate_hz=sample_rate_hz)
        for side in (1, -1)
    )
    return -cmath.phase(above / below) / (2 * math.pi * 2 * step_hz)


class HopFilter:
    """Filters exactly ``hop`` samples at a time, with one matrix product.

    Args:
        sections: Biquads in series.
        hop: Samples per call of `step`.
    """

    def __init__(self, sections: Sequence[Biquad], *, hop: int) -> None:
        self.hop = hop
        self._matrix = _hop_matrix(sections, hop)
        self._rest = _resting_state(sections)

    def resting_state(self, level: Float64Array) -> Float64Array:
        """Return the state after a constant input of shape (...) since ever: shape (states, ...)."""
        return np.multiply.outer(self._rest, level)

    def step(self, samples: Float64Array, state: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the output of finite samples of shape (hop, ...), and the next state."""
        result = self._matrix @ np.concatenate([samples, state])
        return result[: self.hop], result[self.hop :]


def _run(sections: Sequence[Biquad], value: Float64Array, state: Float64Array) -> Float64Array:
    """Advance all states (transposed direct form II) by one sample; return the output. ``state`` is changed."""
    for i, s in enumerate(sections):
        out = s.b0 * value + state[2 * i]
        state[2 * i] = s.b1 * value - s.a1 * out + state[2 * i + 1]
        state[2 * i + 1] = s.b2 * value - s.a2 * out
        value = out
    return value


def _hop_matrix(sections: Sequence[Biquad], hop: int) -> Float64Array:
    """Return the matrix from (samples, state) to (output, next state), by filtering every unit vector at once."""
    units = np.eye(hop + 2 * len(sections))
    state = units[hop:].copy()
    outputs = [_run(sections, units[n], state) for n in range(hop)]
    return np.concatenate([outputs, state])


def _resting_state(sections: Sequence[Biquad]) -> Float64Array:
    """Return the state in which a constant input of 1 gives a constant output."""
    rest, level = [], 1.0
    for s in sections:
        out = level * (s.b0 + s.b1 + s.b2) / (1 + s.a1 + s.a2)
        second = s.b2 * level - s.a2 * out
        rest += [s.b1 * level - s.a1 * out + second, second]
        level = out
    return np.array(rest)


def hold_missing(samples: Float64Array, last: Float64Array) -> Float64Array:
    """Replace NaN in samples of shape (n, ...) by the value before it, ``last`` of shape (...) at the start."""
    if not np.isnan(samples).any():
        return samples
    padded = np.concatenate([last[np.newaxis], samples])
    order = np.arange(len(padded)).reshape(-1, *[1] * last.ndim)
    newest = np.maximum.accumulate(np.where(np.isnan(padded), 0, order), axis=0)
    held: Float64Array = np.take_along_axis(padded, newest, axis=0)[1:]
    return held


class StreamFilter:
    """Filters an endless stream, or many of one sample rate side by side.

    It starts as if the first sample had been there for ever. A missing sample (NaN) is replaced by the one before it,
    so the output is finite but means nothing there.

    Args:
        sections: Biquads in series.
        hop: Output comes in multiples of this many samples; more is faster, fewer is prompter.
    """

    def __init__(self, sections: Sequence[Biquad], *, hop: int = 32) -> None:
        self._filter = HopFilter(sections, hop=hop)
        self._waiting: Float64Array | None = None
        self._state: Float64Array | None = None
        self._last: Float64Array | None = None

    def push(self, samples: Float32Array) -> Float32Array:
        """Take samples of shape (n,) or (n, streams); return the output that is complete, of shape (m, ...).

        Output follows input without omission: output k belongs to input k.
        """
        new = np.asarray(samples, np.float64)
        pending = new if self._waiting is None else np.concatenate([self._waiting, new])
        whole = len(pending) - len(pending) % self._filter.hop
        self._waiting = pending[whole:].copy()
        hops = [self._step(pending[at : at + self._filter.hop]) for at in range(0, whole, self._filter.hop)]
        output: Float32Array = np.concatenate([pending[:0], *hops]).astype(np.float32)
        return output

    def flush(self) -> Float32Array:
        """Return the output of the last samples. Push nothing afterwards."""
        if self._waiting is None:
            return np.empty(0, np.float32)
        rest = len(self._waiting)
        lacking = np.full((self._filter.hop - rest, *self._waiting.shape[1:]), np.nan, np.float32)
        return self.push(lacking)[:rest]

    def _step(self, samples: Float64Array) -> Float64Array:
        if self._state is None or self._last is None:
            self._last = np.full(samples.shape[1:], np.nan)
            self._state = self._filter.resting_state(np.zeros(samples.shape[1:]))
        fresh = np.isnan(self._last)
        if fresh.any():
            first = hold_missing(samples[::-1], self._last)[-1]
            self._last = np.where(fresh, first, self._last)
            self._state = np.where(fresh, self._filter.resting_state(np.nan_to_num(self._last)), self._state)
        held = hold_missing(samples, self._last)
        self._last = held[-1]
        output, self._state = self._filter.step(np.nan_to_num(held), self._state)
        return output
