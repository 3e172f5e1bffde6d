"""Random numbers that depend on what they are for alone: on seed, stream and place, not on the order of asking."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge_sdk.tensors import FloatArray, IntArray

Float64Array = NDArray[np.float64]

_NOISE_SAMPLES = 2**16
_GOLDEN = 0x9E3779B97F4A7C15  # SplitMix64: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators
_MASK = 2**64 - 1


class Chance:
    """Numbers for one purpose.

    Args:
        seed: Of everything.
        purpose: Different purposes get unrelated numbers.
    """

    def __init__(self, seed: int, purpose: int) -> None:
        self._key = _mixed_int(_mixed_int(seed & _MASK) ^ purpose)

    def uniform(self, streams: IntArray, places: IntArray) -> Float64Array:
        """Return numbers from 0 to below 1; the arguments broadcast."""
        shares: Float64Array = (self._bits(streams, places) >> np.uint64(11)) * 2.0**-53
        return shares

    def normal(self, streams: IntArray, places: IntArray) -> FloatArray:
        """Return numbers of mean 0 and variance 1: the sum of four uniform ones, at most 3.5 from 0."""
        pieces = np.ascontiguousarray(self._bits(streams, places)).view(np.uint16)
        sums = pieces.reshape(*pieces.shape[:-1], -1, 4).sum(axis=-1, dtype=np.int32)
        found: FloatArray = ((sums - 2 * 65_535) * np.float32(math.sqrt(3) / 65_536)).astype(np.float32)
        return found

    def _bits(self, streams: IntArray, places: IntArray) -> NDArray[np.uint64]:
        keys = _mixed(streams.astype(np.uint64) + np.uint64(self._key))
        return _mixed(keys + places.astype(np.uint64) * np.uint64(_GOLDEN))


class Noise:
    """Normal noise of variance 1, cheap: every stream goes round the same ring, from a place of its own."""

    def __init__(self, seed: int, *, streams: int) -> None:
        ring = np.arange(_NOISE_SAMPLES)
        self._ring = Chance(seed, 7).normal(ring, ring)
        lanes = np.arange(streams)
        self._from = (Chance(seed, 8).uniform(lanes, lanes) * _NOISE_SAMPLES).astype(np.int64)

    def at(self, lanes: IntArray | slice, places: IntArray) -> FloatArray:
        """Return the noise of these streams at these places, shape (lanes, places)."""
        found: FloatArray = self._ring[(self._from[lanes, np.newaxis] + places) & (_NOISE_SAMPLES - 1)]
        return found


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


def _mixed_int(value: int) -> int:
    return int(_mixed(np.array([(value + _GOLDEN) & _MASK], np.uint64))[0])
