"""P and T wave of a beat against the patient's own, learned while streaming.

The P wave is what tells a beat of the atria from one of the sinus node that merely comes early; where the patient's own
P wave is never the same (atrial fibrillation, noise), it tells nothing, so how steady it is goes with it.
"""

from __future__ import annotations

import numpy as np

from edge_sdk.beats.families import correlation, size, unlikeness
from edge_sdk.tensors import FloatArray

WAVE_FEATURES = (
    "p_correlation",
    "p_amplitude",
    "p_distance",
    "p_height",
    "p_highest",
    "p_position",
    "p_unlikeness",
    "p_steady",
    "p_steady_usual",
    "p_usual_height",
    "t_correlation",
    "t_distance",
)
# Spans around the R peak in seconds.
P_S, T_S = (-0.25, -0.06), (0.15, 0.35)
_QUICKLY, _SLOWLY = np.float32(0.08), 0.025
# In units of the usual QRS height: a wave smaller than this is none.
_SMALLEST = 0.05


class PWave:
    """Learns the P wave of the patient's usual beats that come on time."""

    def __init__(self, *, sample_rate_hz: float, r_index: int) -> None:
        self._span = _span(P_S, sample_rate_hz, r_index)
        self._usual: FloatArray | None = None
        self._steady = self._steady_usual = 0.5

    def describe(self, beat: FloatArray, scale: float, *, usual: bool, on_time: bool) -> list[float]:
        """Return the P wave's features and learn from it.

        Args:
            beat: float32, shape (time,), in mV.
            scale: The usual QRS height in mV.
            usual: Whether the beat's QRS complex is of the usual shape.
            on_time: Whether it moreover came when expected.
        """
        wave = _level(beat[self._span]) / np.float32(scale)
        mine = self._usual if self._usual is not None else wave
        likeness = correlation(wave, mine)
        height, usual_height = size(wave) + _SMALLEST, size(mine) + _SMALLEST
        if on_time or self._usual is None:
            self._usual = _nearer(mine, wave)
        described = [
            likeness,
            float(np.log(height / usual_height)),
            float(np.log1p(size(wave - mine) / usual_height)),
            float(np.ptp(wave)),
            float(wave.max()),
            float(np.argmax(wave)) / len(wave),
            unlikeness(likeness),
            self._steady,
            self._steady_usual,
            float(np.ptp(self._usual)),
        ]
        self._steady += _SLOWLY * (likeness - self._steady)
        if usual:
            self._steady_usual += _SLOWLY * (likeness - self._steady_usual)
        return described


class TWave:
    """Learns the T wave of the patient's usual beats."""

    def __init__(self, *, sample_rate_hz: float, r_index: int) -> None:
        self._span = _span(T_S, sample_rate_hz, r_index)
        self._usual: FloatArray | None = None

    def describe(self, beat: FloatArray, scale: float, *, usual: bool) -> list[float]:
        """Return the T wave's features and learn from it. Arguments as of `PWave.describe`."""
        wave = _level(beat[self._span]) / np.float32(scale)
        mine = self._usual if self._usual is not None else wave
        self._usual = _nearer(mine, wave) if usual else mine
        return [correlation(wave, mine), float(np.log1p(size(wave - mine) / (size(mine) + _SMALLEST)))]


def _nearer(usual: FloatArray, wave: FloatArray) -> FloatArray:
    moved: FloatArray = np.add(usual, _QUICKLY * (wave - usual), dtype=np.float32)
    return moved


def _span(bounds_s: tuple[float, float], sample_rate_hz: float, r_index: int) -> slice:
    first, last = (r_index + round(bound * sample_rate_hz) for bound in bounds_s)
    return slice(max(0, first), last)


def _level(part: FloatArray) -> FloatArray:
    """Remove the straight line between the ends."""
    ends = max(1, len(part) // 14)
    line: FloatArray = np.linspace(part[:ends].mean(), part[-ends:].mean(), len(part), dtype=np.float32)
    return part - line
