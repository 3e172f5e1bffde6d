"""Products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from converters.importers.onnx_ops.elementwise import aligned
from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, identity, plain

_MATRIX = 2


def _gemm(node: Node) -> Value:
    x, y = node.value(0), node.value(1)
    if y.is_constant and not node.attribute("transA", 0):
        weights = y.tensor.T if node.attribute("transB", 0) else y.tensor
        product = dense(x, weights * np.float32(node.attribute("alpha", 1.0)))
    else:
        product = plain(
            tf.matmul(
                x.logical,
                y.logical,
                transpose_a=bool(node.attribute("transA", 0)),
                transpose_b=bool(node.attribute("transB", 0)),
            )
            * node.attribute("alpha", 1.0)
        )
    if not node.has(2):
        return product
    bias, beta = node.value(2), np.float32(node.attribute("beta", 1.0))
    if beta != 1:
        bias = bias.like(bias.tensor * beta)
    leader, tensors = aligned([product, bias])
    return leader.like(tf.add(*tensors))


def dense(x: Value, weights: Any) -> Value:
    """Return the product of a value's last axis with constant weights (inputs, outputs)."""
    columns = x.columns
    if columns is not None:  # the weights' rows are put in the order in which the flattened columns are stored
        return plain(tf.matmul(x.tensor, np.ascontiguousarray(weights[columns])))
    last = x.rank - 1
    order = (*(axis for axis in x.order if axis != last), last)
    tensor = x.stored(order)
    if x.rank == _MATRIX:
        return Value(tensor=tf.matmul(tensor, np.ascontiguousarray(weights)), order=order)
    rows = tf.reshape(tensor, (-1, weights.shape[0]))
    shape = (*tensor.shape[:-1], weights.shape[1])
    return Value(tensor=tf.reshape(tf.matmul(rows, np.ascontiguousarray(weights)), shape), order=order)


def _matmul(node: Node) -> Value:
    x, y = node.value(0), node.value(1)
    if y.is_constant and y.rank == _MATRIX and x.rank >= _MATRIX:
        return dense(x, y.tensor)
    if min(x.rank, y.rank) < _MATRIX:
        return plain(
            tf.linalg.matvec(x.logical, y.logical)
            if y.rank == 1
            else tf.linalg.matvec(y.logical, x.logical, transpose_a=True)
        )
    left, flip_left = _last_two(x)
    right, flip_right = _last_two(y)
    return plain(tf.matmul(left, right, transpose_a=flip_left, transpose_b=flip_right))


def _last_two(value: Value) -> tuple[Any, bool]:
    """Return a stack of matrices, and whether they are stored transposed: a product takes them either way."""
    order = identity(value.rank)
    flipped = (*order[:-2], order[-1], order[-2])
    inner = [axis for axis in value.order if axis in order[-2:] and value.shape[axis] != 1]
    if not value.is_constant and inner == [order[-1], order[-2]]:
        return value.stored(flipped), True
    return value.logical, False


def _einsum(node: Node) -> Value:
    tensors = [value.logical for value in node.inputs if value is not None]
    return plain(tf.einsum(node.attributes["equation"].replace(" ", ""), *tensors))


OPERATORS: dict[str, Translate] = {"Einsum": _einsum, "Gemm": _gemm, "MatMul": _matmul}
