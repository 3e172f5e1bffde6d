"""QRS complexes by themselves: how high, how wide, how steep."""

from __future__ import annotations

import numpy as np

from edge_sdk.beats.shapes import height, product
from edge_sdk.tensors import FloatArray

_SMALLEST_MV = np.float32(0.1)


def usual_heights(usual: FloatArray) -> FloatArray:
    """Return the heights of usual complexes (b, time), the unit of all that is said of a beat, in mV: shape (b,)."""
    heights: FloatArray = np.maximum(height(usual), _SMALLEST_MV)
    return heights


class Complexes:
    """Describes complexes.

    Args:
        sample_rate_hz: Of them.
        time: Samples of each.
    """

    def __init__(self, *, sample_rate_hz: float, time: int) -> None:
        self._period_s, self._root = np.float32(1 / sample_rate_hz), np.float32(time**0.5)
        self._times_s = np.arange(time - 1, dtype=np.float32) * self._period_s

    def describe(
        self, pair: FloatArray, *, level: FloatArray, size: FloatArray, scale: FloatArray
    ) -> dict[str, FloatArray]:
        """Return features by name, each of shape (b,).

        Args:
            pair: The beats' complexes and the usual ones, about their means, in mV: shape (2, b, time).
            level: Means of the beats' own, shape (b,).
            size: Of the beats' own, shape (b,).
            scale: See `usual_heights`.
        """
        qrs = pair[0]
        widths_s, slopes = self._widths_and_slopes(pair)
        slopes[1] += np.float32(1e-6)
        ratios = np.array((widths_s[0] / widths_s[1], slopes[0] / slopes[1] + np.float32(0.02)))
        width_to_usual, slope_to_usual = np.log(ratios)
        return {
            "qrs_width": 20 * widths_s[0],
            "qrs_width_to_usual": width_to_usual,
            "qrs_area": np.add.reduce(np.abs(qrs), axis=1) / (size * self._root),
            "qrs_highest": (np.maximum.reduce(qrs, axis=1) + level) / scale,
            "qrs_lowest": (np.minimum.reduce(qrs, axis=1) + level) / scale,
            "qrs_slope_to_usual": slope_to_usual,
        }

    def _widths_and_slopes(self, pair: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the standard deviation in time of each slope's energy, seconds and never 0, and the steepest slope."""
        energy = pair[..., 1:] - pair[..., :-1]
        energy *= energy
        total = np.add.reduce(energy, axis=-1)
        total += np.float32(1e-9)
        away = self._times_s - (product(energy, self._times_s) / total)[..., np.newaxis]
        away *= away
        widths_s = np.sqrt(product(energy, away) / total) + self._period_s
        return widths_s, np.sqrt(np.maximum.reduce(energy, axis=-1))
