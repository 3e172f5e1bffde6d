"""Operators that take axes away."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, without_axes


def _reduced(function: Any) -> Translate:
    def translate(node: Node) -> Value:
        x = node.value().uniform()
        axes = node.option("axes", 1)
        if not axes:
            if node.attribute("noop_with_empty_axes", 0):
                return x
            axes = range(x.rank)
        keep = bool(node.attribute("keepdims", 1))
        found = function(x.tensor, axis=x.positions(axes), keepdims=keep)
        return x.like(found) if keep else without_axes(x, axes, found)

    return translate


def _arg(function: Any) -> Translate:
    def translate(node: Node) -> Value:
        x, axis = node.value().uniform(), node.attribute("axis", 0)
        node.require("select_last_index", 0)
        found = function(x.tensor, axis=x.position(axis))
        if node.attribute("keepdims", 1):
            return x.like(tf.expand_dims(found, x.position(axis)))
        return without_axes(x, [axis], found)

    return translate


def _size(x: Any, **where: Any) -> Any:
    return tf.sqrt(tf.reduce_sum(tf.square(x), **where))


def _log_sum_exp(x: Any, *, axis: Any, keepdims: bool) -> Any:
    largest = tf.reduce_max(x, axis=axis, keepdims=True)
    total = tf.math.log(tf.reduce_sum(tf.exp(x - largest), axis=axis, keepdims=True)) + largest  # never overflows
    return total if keepdims else tf.squeeze(total, axis)


OPERATORS: dict[str, Translate] = {
    "ArgMax": _arg(tf.argmax),
    "ArgMin": _arg(tf.argmin),
    "ReduceL1": _reduced(lambda x, **where: tf.reduce_sum(tf.abs(x), **where)),
    "ReduceL2": _reduced(_size),
    "ReduceLogSum": _reduced(lambda x, **where: tf.math.log(tf.reduce_sum(x, **where))),
    "ReduceLogSumExp": _reduced(_log_sum_exp),
    "ReduceMax": _reduced(tf.reduce_max),
    "ReduceMean": _reduced(tf.reduce_mean),
    "ReduceMin": _reduced(tf.reduce_min),
    "ReduceProd": _reduced(tf.reduce_prod),
    "ReduceSum": _reduced(tf.reduce_sum),
    "ReduceSumSquare": _reduced(lambda x, **where: tf.reduce_sum(tf.square(x), **where)),
}
