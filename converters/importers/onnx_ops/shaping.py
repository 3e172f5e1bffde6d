"""Operators that give the same elements another shape or order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, part, permuted, plain, without_axes

_MATRIX = 2


def _reshape(node: Node) -> Value:
    x = node.value()
    wanted = [int(size) for size in node.option("shape", 1)]
    if not node.attribute("allowzero", 0):
        wanted = [x.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if -1 in wanted:
        known = -int(np.prod(wanted, dtype=np.int64))
        wanted[wanted.index(-1)] = x.size // known
    return reshaped(x, wanted)


def reshaped(x: Value, shape: Sequence[int]) -> Value:
    """Return a value with another shape; a flattened one keeps its elements as they are stored."""
    if tuple(shape) == x.shape:
        return x
    if len(shape) == _MATRIX and shape[0] == 1 and x.columns is None and not x.is_constant:
        stored = np.arange(x.size).reshape(x.shape).transpose(x.order).reshape(-1)
        moved = bool((stored != np.arange(x.size)).any())
        return Value(tensor=tf.reshape(x.tensor, shape), order=(0, 1), columns=stored if moved else None)
    return plain(_with_shape(x.logical, shape))


def _with_shape(tensor: Any, shape: Sequence[int]) -> Any:
    return tensor.reshape(shape) if isinstance(tensor, np.ndarray) else tf.reshape(tensor, shape)


def _flatten(node: Node) -> Value:
    x, axis = node.value(), node.attribute("axis", 1)
    first = int(np.prod(x.shape[: axis if axis >= 0 else axis + x.rank], dtype=np.int64))
    return reshaped(x, (first, x.size // first))


def _transpose(node: Node) -> Value:
    x = node.value().uniform()
    moved = node.attribute("perm", list(reversed(range(x.rank))))
    if x.is_constant:
        return plain(permuted(x.tensor, tuple(moved)))
    return Value(tensor=x.tensor, order=tuple(moved.index(axis) for axis in x.order))


def _squeeze(node: Node) -> Value:
    x = node.value().uniform()
    axes = node.option("axes", 1) or [axis for axis, size in enumerate(x.shape) if size == 1]
    gone = {x.position(axis) for axis in axes}
    left = [size for at, size in enumerate(x.tensor.shape) if at not in gone]
    return without_axes(x, axes, _with_shape(x.tensor, left))


def _unsqueeze(node: Node) -> Value:
    x = node.value().uniform()
    given = node.option("axes", 1)
    rank = x.rank + len(given)
    new = sorted(axis % rank for axis in given)
    old = [axis for axis in range(rank) if axis not in new]
    order, sizes = [old[axis] for axis in x.order], list(x.tensor.shape)
    for axis in new:
        order.insert(axis, axis)
        sizes.insert(axis, 1)
    return Value(tensor=_with_shape(x.tensor, sizes), order=tuple(order))


def _concat(node: Node) -> Value:
    values = [value.uniform() for value in node.inputs if value is not None]
    leader = max(values, key=lambda value: (not value.is_constant, value.size))
    tensors = [value.stored(leader.order) for value in values]
    return leader.like(tf.concat(tensors, leader.position(node.attributes["axis"])))


def _split(node: Node) -> tuple[Value, ...]:
    x, axis = node.value().uniform(), node.attribute("axis", 0)
    size, parts = x.shape[axis], node.attribute("num_outputs", len(node.wanted))
    sizes = node.option("split", 1)
    if sizes is None:
        each = -(-size // parts)
        sizes = [min(each, size - each * part) for part in range(parts)]
    return tuple(x.like(part) for part in tf.split(x.tensor, sizes, x.position(axis)))


def _slice(node: Node) -> Value:
    x = node.value().uniform()
    starts, ends = node.option("starts", 1), node.option("ends", 2)
    axes = node.option("axes", 3) or range(len(starts))
    steps = node.option("steps", 4) or [1] * len(starts)
    window = [slice(None)] * x.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        window[x.position(axis)] = _window(start, end, step, x.shape[axis])
    return x.like(x.tensor[tuple(window)])


def _window(start: int, end: int, step: int, size: int) -> slice:
    first, last, _ = slice(start, end, step).indices(size)
    return slice(first, None if last < 0 else last, step)


def _gather(node: Node) -> Value:
    x, where, axis = node.value(0).uniform(), node.value(1), node.attribute("axis", 0)
    if not where.is_constant:
        return plain(tf.gather(x.logical, where.logical, axis=axis))
    at = np.asarray(where.tensor) % x.shape[axis]
    if at.ndim == 0:
        found = x.tensor[(slice(None),) * x.position(axis) + (int(at),)]
        return without_axes(x, [axis], found)
    if at.ndim == 1:
        return x.like(_taken(x.tensor, at, x.position(axis)))
    return plain(tf.gather(x.logical, at, axis=axis))


def _taken(tensor: Any, at: Any, axis: int) -> Any:
    if len(at) and (np.diff(at) == 1).all():  # neighbours: a slice, which every accelerator knows
        return part(tensor, axis, int(at[0]), int(at[-1]) + 1)
    return tf.gather(tensor, at, axis=axis)


def _expand(node: Node) -> Value:
    x, wanted = node.value().uniform(), node.constant(1)
    shape = np.broadcast_shapes(x.shape, tuple(int(size) for size in wanted))
    return x if shape == x.shape else plain(tf.broadcast_to(x.logical, shape))


def _tile(node: Node) -> Value:
    x, times = node.value().uniform(), node.option("repeats", 1)
    return x.like(tf.tile(x.tensor, [int(times[axis]) for axis in x.order]))


def _pad(node: Node) -> Value:
    x, given = node.value().uniform(), node.option("pads", 1)
    axes = [axis % x.rank for axis in node.option("axes", 3) or range(x.rank)]
    if min(given) < 0:
        raise node.refuse("it takes away by negative pads")
    pads = [(0, 0)] * x.rank
    for number, axis in enumerate(axes):
        pads[x.position(axis)] = (given[number], given[len(axes) + number])
    if not any(map(any, pads)):
        return x
    mode = node.attribute("mode", "constant")
    if mode == "constant":
        value = node.option("value", 2, 0.0)
        return x.like(tf.pad(x.tensor, pads, constant_values=tf.cast(np.ravel(value)[0], x.tensor.dtype)))
    if mode == "reflect":
        return x.like(tf.pad(x.tensor, pads, mode="REFLECT"))
    if mode == "edge":
        return x.like(_with_edges(x.tensor, pads))
    raise node.refuse(f"its mode is {mode}")


def _with_edges(tensor: Any, pads: Sequence[tuple[int, int]]) -> Any:
    for axis, (before, after) in enumerate(pads):
        at = np.concatenate(
            [np.zeros(before, int), np.arange(tensor.shape[axis]), np.full(after, tensor.shape[axis] - 1)]
        )
        tensor = tf.gather(tensor, at, axis=axis) if before or after else tensor
    return tensor


def _depth_to_space(node: Node) -> Value:
    x, block = node.value(), node.attributes["blocksize"]
    n, channels, height, width = x.shape
    deep = channels // block**2
    first = (n, block, block, deep, height, width)
    moved = (0, 3, 4, 1, 5, 2)
    if node.attribute("mode", "DCR") == "CRD":
        first, moved = (n, deep, block, block, height, width), (0, 1, 4, 2, 5, 3)
    blocks = tf.transpose(tf.reshape(x.logical, first), moved)
    return plain(tf.reshape(blocks, (n, deep, height * block, width * block)))


def _reverse_sequence(node: Node) -> Value:
    x, axis = node.value(), node.attribute("time_axis", 0)
    if not (np.asarray(node.constant(1)) == x.shape[axis]).all():
        raise node.refuse("its sequences have lengths of their own")
    return x.like(tf.reverse(x.tensor, [x.position(axis)]))


def _space_to_depth(node: Node) -> Value:
    x, block = node.value(), node.attributes["blocksize"]
    n, channels, height, width = x.shape
    parts = tf.reshape(x.logical, (n, channels, height // block, block, width // block, block))
    moved = tf.transpose(parts, (0, 3, 5, 1, 2, 4))
    return plain(tf.reshape(moved, (n, channels * block**2, height // block, width // block)))


def _shape(node: Node) -> Value:
    shape = node.value().shape
    return plain(np.array(shape[node.attribute("start", 0) : node.attribute("end", len(shape))], np.int64))


def _size(node: Node) -> Value:
    return plain(np.array(node.value().size, np.int64))


def _constant(node: Node) -> Value:
    (value,) = node.attributes.values()
    return plain(np.asarray(value, np.float32) if isinstance(value, float) else np.asarray(value))


def _constant_of_shape(node: Node) -> Value:
    value = np.ravel(node.attribute("value", np.zeros(1, np.float32)))
    return plain(np.full(tuple(int(size) for size in node.constant(0)), value[0], value.dtype))


def _range(node: Node) -> Value:
    start, limit, step = (np.ravel(node.constant(index))[0] for index in range(3))
    return plain(np.arange(start, limit, step, dtype=start.dtype))


OPERATORS: dict[str, Translate] = {
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
