"""Pools, with channels last. What surrounds the input is such that integers lose nothing by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, channels_last, part
from converters.importers.onnx_ops.windows import Windows, around, as_line, as_plane, for_plane, is_same, windows_of


def _pool(node: Node, x: Value) -> tuple[Windows, bool]:
    windows = windows_of(node, node.attributes["kernel_shape"], x.shape[2:])
    if any(step != 1 for step in windows.dilations):
        raise node.refuse("it is dilated")
    return windows, is_same(windows, x.shape[2:])


def _max_pool(node: Node) -> Value:
    x = node.value()
    windows, same = _pool(node, x)
    tensor = x.stored(channels_last(x.rank))
    if not same:
        for axis, pads in enumerate(windows.pads, 1):
            tensor = _with_repeated_ends(tensor, axis, *pads)
    tensor = tf.nn.max_pool2d(
        as_plane(tensor), for_plane(windows.kernel), for_plane(windows.strides), "SAME" if same else "VALID"
    )
    return Value(tensor=as_line(tensor, x.rank), order=channels_last(x.rank))


def _with_repeated_ends(tensor: Any, axis: int, before: int, after: int) -> Any:
    """Put an axis' first and last elements around it: whatever window reaches beyond an end has them anyway.

    They change no maximum, and unlike minus infinity they have no range of their own, which a quantizer would see.
    """
    first, last = (part(tensor, axis, at, at + 1) for at in (0, tensor.shape[axis] - 1))
    return tf.concat([first] * before + [tensor] + [last] * after, axis) if before or after else tensor


def _average_pool(node: Node) -> Value:
    x = node.value()
    windows, same = _pool(node, x)
    counts_pads = bool(node.attribute("count_include_pad", 0))
    alone = same and not (counts_pads and windows.padded)  # TensorFlow's SAME does not count padding
    tensor = x.stored(channels_last(x.rank))
    if not alone:
        tensor = around(tensor, windows.pads)
    tensor = tf.nn.avg_pool2d(
        as_plane(tensor), for_plane(windows.kernel), for_plane(windows.strides), "SAME" if alone else "VALID"
    )
    tensor = as_line(tensor, x.rank)
    if not alone:
        share = _share(windows, x.shape[2:], counts_pads=counts_pads)
        tensor = tensor if (share == 1).all() else tensor * share
    return Value(tensor=tensor, order=channels_last(x.rank))


def _share(windows: Windows, sizes: tuple[int, ...], *, counts_pads: bool) -> Any:
    """Return by what each average is too small, because it counted elements that do not count; (1, *space, 1)."""
    share = np.ones((), np.float32)
    for axis, size in enumerate(sizes):
        before, after = windows.pads[axis]
        counted = np.zeros(size + before + after, np.float32)
        first, last = (0, windows.excess[axis]) if counts_pads else (before, after)
        counted[first : len(counted) - last] = 1
        starts = range(0, len(counted) - windows.kernel[axis] + 1, windows.strides[axis])
        each = [windows.kernel[axis] / counted[at : at + windows.kernel[axis]].sum() for at in starts]
        share = share[..., None] * np.array(each, np.float32)
    return share[None, ..., None]


def _global(reduce: Any) -> Translate:
    def translate(node: Node) -> Value:
        x = node.value()
        space = x.positions(range(2, x.rank))
        return x.like(reduce(x.tensor, axis=space, keepdims=True))

    return translate


OPERATORS: dict[str, Translate] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global(tf.reduce_mean),
    "GlobalMaxPool": _global(tf.reduce_max),
    "MaxPool": _max_pool,
}
