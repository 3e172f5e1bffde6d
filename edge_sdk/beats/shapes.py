"""Comparing shapes: of any number at once, along their last axis, which is time."""

from __future__ import annotations

import numpy as np

from edge_sdk.tensors import FloatArray

_TINY = np.float32(1e-3)


def about_mean(parts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return shapes (..., time) about their means, and the means (...,)."""
    means = np.add.reduce(parts, axis=-1) / np.float32(parts.shape[-1])
    return parts - means[..., np.newaxis], means


def product(shapes: FloatArray, others: FloatArray) -> FloatArray:
    """Return the scalar products of shapes with others."""
    # Not a matrix product: its sums could depend on how many shapes there are.
    products: FloatArray = np.einsum("...k,...k->...", shapes, others)
    return products


def size(shapes: FloatArray) -> FloatArray:
    """Return the Euclidean norms of shapes that are about their means, never 0."""
    norms: FloatArray = np.sqrt(product(shapes, shapes)) + _TINY
    return norms


def height(shapes: FloatArray) -> FloatArray:
    """Return how far each shape's highest and lowest values are apart."""
    heights: FloatArray = np.maximum.reduce(shapes, axis=-1) - np.minimum.reduce(shapes, axis=-1)
    return heights


def correlation(parts: FloatArray, others: FloatArray) -> FloatArray:
    """Return how alike shapes are, whatever their heights, to others that are about their means: -1 to 1."""
    shapes, _ = about_mean(parts)
    return product(shapes, others) / (size(shapes) * size(others))


def unlikeness(likeness: FloatArray) -> FloatArray:
    """Return how much correlations lack to 1, as logarithms: from 0.98 to 0.99 is about as far as from 0 to 0.5.

    It is 0 for a likeness of 0.95 and lies between -2.8 and 3.7.
    """
    lack: FloatArray = np.float32(1.003) - np.minimum(likeness, np.float32(1))
    lack *= np.float32(20)
    np.log(lack, out=lack)
    return lack
