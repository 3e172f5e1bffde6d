"""Convolutions, with channels last."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, channels_last, part
from converters.importers.onnx_ops.windows import Windows, around, as_line, as_plane, for_plane, is_same, windows_of


def _conv(node: Node) -> Value:
    x, weights = node.value(0), node.constant(1)
    order, sizes = channels_last(x.rank), x.shape[2:]
    windows = windows_of(node, weights.shape[2:], sizes)
    same = is_same(windows, sizes)
    tensor = x.stored(order)
    if not same:
        tensor = around(tensor, windows.pads)
    tensor = _convolved(as_plane(tensor), weights, windows, node.attribute("group", 1), "SAME" if same else "VALID")
    if node.has(2):
        tensor = tf.nn.bias_add(tensor, node.constant(2))
    return Value(tensor=as_line(tensor, x.rank), order=order)


def _convolved(tensor: Any, weights: Any, windows: Windows, groups: int, padding: str) -> Any:
    kernel = _kernel(weights)
    strides, dilations = for_plane(windows.strides), for_plane(windows.dilations)
    height, width, each, outputs = kernel.shape
    if groups > 1 and each == 1 and groups == tensor.shape[-1]:
        deep = kernel.reshape(height, width, groups, outputs // groups)
        # A kernel one high moves down by any stride: depthwise ones want both to be the same.
        down = strides[1] if height == 1 and tensor.shape[1] == 1 else strides[0]
        return tf.raw_ops.DepthwiseConv2dNative(
            input=tensor, filter=deep, strides=[1, down, strides[1], 1], padding=padding, dilations=[1, *dilations, 1]
        )
    return tf.nn.conv2d(tensor, kernel, strides=strides, padding=padding, dilations=dilations)


def _kernel(weights: Any) -> Any:
    """Return weights (outputs, inputs, *space) as (height, width, inputs, outputs)."""
    if weights.ndim == 3:  # noqa: PLR2004  # along a line
        weights = weights[:, :, None]
    return np.ascontiguousarray(weights.transpose(2, 3, 1, 0))


def _conv_transpose(node: Node) -> Value:
    x, weights = node.value(0), node.constant(1)
    node.require("group", 1)
    order, rank = channels_last(x.rank), x.rank - 2
    windows = windows_of(node, weights.shape[2:], x.shape[2:])
    if any(step != 1 for step in windows.dilations):
        raise node.refuse("it is dilated")
    whole = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], windows.strides, windows.kernel, strict=True)]
    more = node.attribute("output_padding", [0] * rank)
    cut = _cut(node, windows, whole, more)
    tensor = tf.nn.conv2d_transpose(
        as_plane(x.stored(order)),
        _kernel(weights),  # (height, width, outputs, inputs): ONNX has the inputs first here
        output_shape=[1, *for_plane(whole), weights.shape[1]],
        strides=for_plane(windows.strides),
        padding="VALID",
    )
    tensor = as_line(around(tensor, [(0, 0)] * (2 - rank) + [(0, extra) for extra in more]), x.rank)
    for axis, (start, end) in enumerate(cut, 1):
        tensor = part(tensor, axis, start, end)
    if node.has(2):
        tensor = tf.nn.bias_add(tensor, node.constant(2))
    return Value(tensor=tensor, order=order)


def _cut(node: Node, windows: Windows, whole: list[int], more: list[int]) -> list[tuple[int, int]]:
    """Return what is kept of the whole output: padding takes away from it."""
    pads = list(windows.pads)
    total = [size + extra for size, extra in zip(whole, more, strict=True)]
    if wanted := node.attribute("output_shape", None):
        gone = [size - want for size, want in zip(total, wanted, strict=True)]
        upper = node.attribute("auto_pad", "NOTSET") == "SAME_UPPER"
        pads = [(size // 2, size - size // 2) if upper else (size - size // 2, size // 2) for size in gone]
    elif node.attribute("auto_pad", "NOTSET").startswith("SAME"):
        raise node.refuse("its auto_pad is without output_shape")
    return [(before, size - after) for (before, after), size in zip(pads, total, strict=True)]


OPERATORS: dict[str, Translate] = {"Conv": _conv, "ConvTranspose": _conv_transpose}
