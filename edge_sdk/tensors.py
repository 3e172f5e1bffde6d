"""Tensors as a model file describes them, and the affine quantization between real and stored values."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import IncompatibleBundle

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output of a compiled model.

    Attributes:
        name: The name in the input or output contract.
        shape: Full shape, batch first.
        dtype: numpy's name of the stored type, e.g. ``int8``.
        scale: Real value of one step; 0 means not quantized.
        zero_point: Stored value of real zero.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0


def quantize(values: FloatArray, spec: TensorSpec) -> NDArray[Any]:
    """Turn real values into what the model stores: ``round(x / scale) + zero_point``, saturated.

    Values outside the type's range saturate; NaN is refused since no integer stands for it.
    """
    dtype = np.dtype(spec.dtype)
    if spec.scale == 0.0:
        return np.asarray(values, dtype=dtype)
    if not np.isfinite(values).all():
        raise IncompatibleBundle(
            f"input '{spec.name}' has missing or infinite values", remedy="give the model only windows of good quality"
        )
    lowest, highest = _limits(dtype)
    with np.errstate(over="ignore"):  # what overflows saturates
        steps = np.divide(values, np.float32(spec.scale), dtype=np.float32)
    # In place: many windows come at once, and each new array of theirs would be fetched from memory again.
    np.rint(steps, out=steps)
    steps += np.float32(spec.zero_point)
    np.maximum(steps, lowest, out=steps)
    np.minimum(steps, highest, out=steps)
    stored: NDArray[Any] = steps.astype(dtype)
    return stored


@cache
def _limits(dtype: np.dtype[Any]) -> tuple[np.float32, np.float32]:
    limits = np.iinfo(dtype)
    return np.float32(limits.min), np.float32(limits.max)


def dequantize(stored: NDArray[Any], spec: TensorSpec) -> FloatArray:
    """Turn what the model stores into real values: ``(q - zero_point) * scale``."""
    if spec.scale == 0.0:
        return np.asarray(stored, dtype=np.float32)
    values: FloatArray = stored.astype(np.float32)
    values -= np.float32(spec.zero_point)
    values *= np.float32(spec.scale)
    return values
