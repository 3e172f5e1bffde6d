"""Operators of ``ai.onnx.ml`` that linear models and their scalers are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from converters.importers.onnx_ops.linear import dense
from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, plain

_TWO = 2


def _scaler(node: Node) -> Value:
    x = node.value()
    scale, offset = (np.array(node.attributes[name], np.float32) for name in ("scale", "offset"))
    return plain((x.logical - offset) * scale)


def _linear_regressor(node: Node) -> Value:
    targets = node.attribute("targets", 1)
    return plain(_transformed(node, _weighed(node, targets)))


def _weighed(node: Node, rows: int) -> Any:
    weights = np.array(node.attributes["coefficients"], np.float32).reshape(rows, -1)
    x = node.value()
    product = dense(x, weights.T)
    bias = np.array(node.attribute("intercepts", [0.0] * rows), np.float32)
    return tf.nn.bias_add(product.logical, bias)


def _linear_classifier(node: Node) -> tuple[Value, Value]:
    rows = len(node.attribute("intercepts", [])) or len(node.attributes["coefficients"]) // node.value().shape[1]
    labels = node.attribute("classlabels_ints", None) or node.attribute("classlabels_strings", [])
    scores = _weighed(node, rows)
    if rows == 1 and len(labels) == _TWO:
        node.require("post_transform", "NONE", "LOGISTIC")
        chance = _transformed(node, scores)
        scores = tf.concat([1.0 - chance, chance], 1)  # as onnxruntime does, with and without LOGISTIC
    else:
        scores = _transformed(node, scores)
    return Value(tensor=None, order=(0,)), plain(scores)


def _transformed(node: Node, scores: Any) -> Any:
    functions = {"NONE": tf.identity, "LOGISTIC": tf.sigmoid, "SOFTMAX": tf.nn.softmax}
    kind = node.attribute("post_transform", "NONE")
    if kind not in functions:
        raise node.refuse(f"its post_transform is {kind}")
    return functions[kind](scores)


def _normalizer(node: Node) -> Value:
    x, norm = node.value().logical, node.attribute("norm", "MAX")
    if norm == "L2":
        return plain(x * tf.math.rsqrt(tf.reduce_sum(tf.square(x), -1, keepdims=True)))
    total = tf.reduce_sum(tf.abs(x), -1, keepdims=True) if norm == "L1" else tf.reduce_max(x, -1, keepdims=True)
    return plain(x / total)


def _array_feature_extractor(node: Node) -> Value:
    return plain(tf.gather(node.value().logical, np.ravel(node.constant(1)), axis=-1))


OPERATORS: dict[str, Translate] = {
    "ArrayFeatureExtractor": _array_feature_extractor,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Normalizer": _normalizer,
    "Scaler": _scaler,
}
