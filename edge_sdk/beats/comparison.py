"""A beat's QRS complex, P wave and T wave beside the patient's usual ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_sdk.beats.shapes import product, size
from edge_sdk.tensors import FloatArray

# In units of the usual QRS height: a P or T wave smaller than this is none.
_SMALLEST = np.array([[0], [0.05], [0.05]], np.float32)
QRS, P, T = range(3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How far beats are from the usual ones; the first axis is `QRS`, `P`, `T`.

    Attributes:
        size: Of the beats' parts, shape (3, b).
        likeness: Their correlations with the usual ones, shape (3, b).
        amplitude: Log ratios of their heights to those of the usual ones, shape (3, b).
        distance: Logarithms of 1 + their difference in such heights, shape (3, b).
        shapes: Of the beats, the usual ones, and the differences: shape (3, 3, b, time), zero beyond a part's length.
    """

    size: FloatArray
    likeness: FloatArray
    amplitude: FloatArray
    distance: FloatArray
    shapes: FloatArray


def compare(qrs: FloatArray, usual_qrs: FloatArray, waves: FloatArray, usual_waves: FloatArray) -> Comparison:
    """Compare, all at once.

    Args:
        qrs: QRS complexes about their means, shape (b, time).
        usual_qrs: The usual ones.
        waves: P and T waves about their means, shape (2, b, time).
        usual_waves: The usual ones.
    """
    beats, length = qrs.shape
    width = waves.shape[2]
    shapes = np.zeros((3, 3, beats, max(length, width)), np.float32)
    shapes[0, QRS, :, :length], shapes[1, QRS, :, :length] = qrs, usual_qrs
    shapes[0, P:, :, :width], shapes[1, P:, :, :width] = waves, usual_waves
    now, usual, apart = shapes
    np.subtract(now, usual, out=apart)
    sizes = size(shapes)
    heights = sizes[:2] + _SMALLEST
    logs = np.array((heights[0], heights[1] + sizes[2]))
    logs /= heights[1]
    np.log(logs, out=logs)
    return Comparison(
        size=sizes[0],
        likeness=product(now, usual) / (sizes[0] * sizes[1]),
        amplitude=logs[0],
        distance=logs[1],
        shapes=shapes,
    )
