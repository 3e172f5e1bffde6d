"""The signed self-test in a bundle: a few real windows and the answers the compiled model gave for them."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from edge_sdk.errors import ManifestError
from edge_sdk.tensors import FloatArray


class Array(msgspec.Struct, frozen=True, kw_only=True):
    """float32 values as little-endian bytes, row-major."""

    shape: tuple[int, ...]
    values: bytes

    def __post_init__(self) -> None:
        if min(self.shape, default=0) < 0 or len(self.values) != 4 * math.prod(self.shape):
            raise ValueError(f"{len(self.values)} bytes are not float32 values of shape {self.shape}")

    @classmethod
    def of(cls, array: FloatArray) -> Array:
        """Wrap an array."""
        return cls(shape=array.shape, values=np.ascontiguousarray(array, dtype="<f4").tobytes())

    def numpy(self) -> FloatArray:
        """Return the values as float32 of `shape`."""
        return np.frombuffer(self.values, dtype="<f4").reshape(self.shape).astype(np.float32)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One window: real input values by name (no batch axis), and the real output values."""

    inputs: dict[str, Array]
    expected: Array


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """Cases and the largest difference of one output value that still passes."""

    cases: tuple[Case, ...]
    tolerance: float


def encode_self_test(test: SelfTest) -> bytes:
    """Return the self-test as MessagePack."""
    return msgspec.msgpack.encode(test)


def decode_self_test(data: bytes) -> SelfTest:
    """Read a verified bundle's self-test.

    Raises:
        ManifestError: Not a self-test.
    """
    try:
        return msgspec.msgpack.decode(data, type=SelfTest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"self-test cannot be read ({error})", remedy="seal the bundle again") from error
