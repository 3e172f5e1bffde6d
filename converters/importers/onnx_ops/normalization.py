"""Normalizations, and the functions of a whole axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, channels_last, identity, permuted, plain

_EPSILON = 1e-5  # ONNX's default in every normalization
_GROUPS_BY_CHANNEL = 21  # opset from which GroupNormalization scales each channel, not each group


def _batch_normalization(node: Node) -> Value:
    x = node.value().uniform()
    scale, bias, mean, variance = (np.asarray(node.constant(index), np.float64) for index in range(1, 5))
    node.require("training_mode", 0)
    factor = scale / np.sqrt(variance + node.attribute("epsilon", _EPSILON))
    offset = bias - mean * factor
    return x.like(x.tensor * _along_channels(x, factor) + _along_channels(x, offset))


def _along_channels(x: Value, values: Any) -> Any:
    shape = [1] * x.rank
    shape[x.position(1)] = -1
    return values.astype(np.float32).reshape(shape)


def _normalized(tensor: Any, axes: Sequence[int], epsilon: float) -> Any:
    middle = tensor - tf.reduce_mean(tensor, axis=axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(middle), axis=axes, keepdims=True)
    return middle * tf.math.rsqrt(variance + epsilon)


def _instance_normalization(node: Node) -> Value:
    x = node.value()
    found = _normalized(x.tensor, x.positions(range(2, x.rank)), node.attribute("epsilon", _EPSILON))
    return x.like(found * _along_channels(x, node.constant(1)) + _along_channels(x, node.constant(2)))


def _layer_normalization(node: Node) -> Value:
    x = node.value().uniform()
    first = node.attribute("axis", -1) % x.rank
    found = _normalized(x.tensor, x.positions(range(first, x.rank)), node.attribute("epsilon", _EPSILON))
    found = found * _along_last(x, node.constant(1))
    return x.like(found + _along_last(x, node.constant(2)) if node.has(2) else found)


def _along_last(x: Value, values: Any) -> Any:
    return permuted(values.reshape((1,) * (x.rank - values.ndim) + values.shape), x.order)


def _group_normalization(node: Node) -> Value:
    x, groups = node.value(), node.attributes["num_groups"]
    order, channels = channels_last(x.rank), x.shape[1]
    split = (1, *x.shape[2:], groups, channels // groups)
    tensor = tf.reshape(x.stored(order), split)
    axes = (*range(1, x.rank - 1), x.rank)
    found = tf.reshape(_normalized(tensor, axes, node.attribute("epsilon", _EPSILON)), (1, *x.shape[2:], channels))
    each = 1 if node.opset >= _GROUPS_BY_CHANNEL else channels // groups
    scale, bias = (np.repeat(node.constant(index), each).astype(np.float32) for index in (1, 2))
    return Value(tensor=found * scale + bias, order=order)


def _lp_normalization(node: Node) -> Value:
    x = node.value().uniform()
    axis, power = x.position(node.attribute("axis", -1)), node.attribute("p", 2)
    size = tf.abs(x.tensor) if power == 1 else tf.square(x.tensor)
    total = tf.reduce_sum(size, axis=axis, keepdims=True)
    return x.like(x.tensor / total if power == 1 else x.tensor * tf.math.rsqrt(total))


def _softmax(node: Node) -> Value:
    return _over_axis(node, tf.nn.softmax)


def _log_softmax(node: Node) -> Value:
    return _over_axis(node, tf.nn.log_softmax)


def _over_axis(node: Node, function: Any) -> Value:
    x = node.value().uniform()
    if node.flattens:
        axis = node.attribute("axis", 1) % x.rank
        rows = int(np.prod(x.shape[:axis], dtype=np.int64))
        flat = function(tf.reshape(x.logical, (rows, -1)), axis=-1)
        return plain(tf.reshape(flat, x.shape))
    axis = node.attribute("axis", -1) % x.rank
    last = (*(other for other in x.order if other != axis), axis)
    return Value(tensor=function(x.stored(last), axis=-1), order=last)


def _cumulative_sum(node: Node) -> Value:
    x = node.value()
    found = tf.cumsum(
        x.logical,
        axis=int(np.asarray(node.constant(1)).reshape(())) % x.rank,
        exclusive=bool(node.attribute("exclusive", 0)),
        reverse=bool(node.attribute("reverse", 0)),
    )
    return Value(tensor=found, order=identity(x.rank))


OPERATORS: dict[str, Translate] = {
    "BatchNormalization": _batch_normalization,
    "CumSum": _cumulative_sum,
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _log_softmax,
    "LpNormalization": _lp_normalization,
    "Softmax": _softmax,
}
