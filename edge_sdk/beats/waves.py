"""P and T waves of beats: where they are, and without what lies under them.

The P wave is what tells a beat of the atria from one of the sinus node that merely comes early; where the patient's own
P wave is never the same (atrial fibrillation, noise), it tells nothing, so how steady it is goes with it.
"""

from __future__ import annotations

import numpy as np

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


class Waves:
    """Cuts both waves out of beats.

    Args:
        sample_rate_hz: Of the beats.
        r_index: Index of the R peak in each.
        time: Samples of each.

    Attributes:
        lengths: Samples of the P wave and of the T wave.
        width: Of both, the longer length.
    """

    def __init__(self, *, sample_rate_hz: float, r_index: int, time: int) -> None:
        self._spans = [_span(bounds_s, sample_rate_hz, r_index, time) for bounds_s in (P_S, T_S)]
        self.lengths = tuple(span.stop - span.start for span in self._spans)
        self.width = max(self.lengths)
        inside = (np.arange(self.width) < np.array(self.lengths)[:, np.newaxis]).astype(np.float32)
        first, last = np.zeros_like(inside), np.zeros_like(inside)
        self._line = np.zeros_like(inside)
        for row, length in enumerate(self.lengths):
            end = max(1, length // 14)
            first[row, :end] = last[row, length - end : length] = 1 / end
            self._line[row, :length] = np.linspace(-0.5, 0.5, length)
        everywhere = inside / inside.sum(axis=1, keepdims=True)
        self._means = np.array((everywhere, last - first, (last + first) / 2))

    def cut(self, beats: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the waves of beats (b, time), without the straight lines between their ends, in units of their scales.

        Returns:
            Waves about their means, shape (2, b, width), zero beyond their length; and these means, shape (2, b).
        """
        parts = np.zeros((len(beats), 2, self.width), np.float32)
        for row, (span, length) in enumerate(zip(self._spans, self.lengths, strict=True)):
            parts[:, row, :length] = beats[:, span]
        mean, rise, middle = np.einsum("bwk,mwk->mwb", parts, self._means)
        parts -= mean.T[:, :, np.newaxis]
        parts -= rise.T[:, :, np.newaxis] * self._line
        parts /= scale[:, np.newaxis, np.newaxis]
        for row, length in enumerate(self.lengths):
            parts[:, row, length:] = 0
        return parts.swapaxes(0, 1), (mean - middle) / scale


def _span(bounds_s: tuple[float, float], sample_rate_hz: float, r_index: int, time: int) -> slice:
    first, last = (r_index + round(bound * sample_rate_hz) for bound in bounds_s)
    return slice(max(0, first), min(last, time))
