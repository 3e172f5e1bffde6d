"""Values on their way through an ONNX graph, and the order in which their axes are stored.

ONNX convolves with channels first, LiteRT with channels last. Each value carries the order of its stored axes, so that
a transpose is made where an operator needs another order, and nowhere else: ``Transpose`` itself only renames axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Order = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Value:
    """A tensor of the ONNX graph.

    Attributes:
        tensor: As stored: of TensorFlow; or of numpy, when it is a constant.
        order: Stored axis k is the graph's axis ``order[k]``.
        columns: Of a matrix that was flattened as it was stored: its stored column j is the graph's column
            ``columns[j]``. ``None`` when they are the same.
    """

    tensor: Any
    order: Order
    columns: NDArray[np.int64] | None = None

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.order)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the graph's order."""
        stored = tuple(self.tensor.shape)
        return tuple(int(stored[self.order.index(axis)]) for axis in range(self.rank))

    @property
    def size(self) -> int:
        """How many elements it has."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def is_constant(self) -> bool:
        """Whether it is known without running the model."""
        return isinstance(self.tensor, (np.ndarray, np.generic))

    @property
    def logical(self) -> Any:
        """The tensor in the graph's order."""
        return self.stored(identity(self.rank))

    def stored(self, order: Order) -> Any:
        """Return the tensor with its axes in another order."""
        tensor = self.tensor
        if self.columns is not None:
            tensor = tf.gather(tensor, np.argsort(self.columns), axis=1)
        return permuted(tensor, tuple(self.order.index(axis) for axis in order))

    def position(self, axis: int) -> int:
        """Return where one of the graph's axes, which may be counted from the end, is stored."""
        return self.order.index(axis % self.rank)

    def positions(self, axes: Sequence[int]) -> tuple[int, ...]:
        """Return where several axes are stored, in ascending order."""
        return tuple(sorted(self.position(axis) for axis in axes))

    def like(self, tensor: Any) -> Value:
        """Return a value that is stored as this one is."""
        return replace(self, tensor=tensor)

    def uniform(self) -> Value:
        """Return it without columns of its own."""
        return self if self.columns is None else plain(self.logical)


def plain(tensor: Any) -> Value:
    """Return a value that is stored in the graph's order."""
    return Value(tensor=tensor, order=identity(len(tensor.shape)))


def identity(rank: int) -> Order:
    """Return the graph's own order."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """Return the order in which LiteRT convolves: batch, space, channels."""
    return (0, *range(2, rank), 1)


def permuted(tensor: Any, permutation: Order) -> Any:
    """Transpose; where only axes of size one move, reshape, which costs nothing."""
    if permutation == identity(len(permutation)):
        return tensor
    if isinstance(tensor, np.ndarray):
        return np.transpose(tensor, permutation)
    sizes = [int(tensor.shape[axis]) for axis in permutation]
    moved = [axis for axis, size in zip(permutation, sizes, strict=True) if size != 1]
    return tf.reshape(tensor, sizes) if moved == sorted(moved) else tf.transpose(tensor, permutation)


def part(tensor: Any, axis: int, start: int, end: int) -> Any:
    """Return a tensor's elements from one position to another along an axis."""
    return tensor[(slice(None),) * axis + (slice(start, end),)]


def without_axes(value: Value, axes: Sequence[int], tensor: Any) -> Value:
    """Return a value that has lost some of the graph's axes, given the tensor that is left, stored as before."""
    gone = {axis % value.rank for axis in axes}
    kept = [axis for axis in range(value.rank) if axis not in gone]
    return Value(tensor=tensor, order=tuple(kept.index(axis) for axis in value.order if axis not in gone))
