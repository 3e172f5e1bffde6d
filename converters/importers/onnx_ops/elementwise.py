"""Operators that work element by element, with ONNX's broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf

from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, identity, permuted

_SELU_ALPHA, _SELU_GAMMA = 1.6732632423543772, 1.0507009873554805  # ONNX, Selu
_SIX = 6.0
# Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: at most 1.5e-7 from erf.
_ERF_P, _ERF_A = 0.3275911, (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def aligned(values: Sequence[Value]) -> tuple[Value, list[Any]]:
    """Return which value says how the result is stored, and all tensors stored so, ready to be broadcast."""
    rank = max(value.rank for value in values)
    leader = max(values, key=lambda value: (value.rank == rank, not value.is_constant, value.size))
    others_vary = sum(not value.is_constant for value in values) > 1
    if leader.columns is not None and others_vary:
        values, leader = [value.uniform() for value in values], leader.uniform()
    return leader, [_beside(value, leader) for value in values]


def _beside(value: Value, leader: Value) -> Any:
    if value is leader:
        return value.tensor
    if value.is_constant and value.size == 1:
        return value.tensor.reshape(())
    missing = leader.rank - value.rank
    shape = (1,) * missing + value.shape
    tensor = value.logical.reshape(shape) if value.is_constant else _raised(value, missing)
    if leader.columns is not None and shape[-1] != 1:
        tensor = tensor[:, leader.columns]
    return permuted(tensor, leader.order)


def _raised(value: Value, missing: int) -> Any:
    return value.logical if not missing else tf.reshape(value.logical, (1,) * missing + value.shape)


def _unary(function: Callable[[Any], Any]) -> Translate:
    return lambda node: node.value().like(function(node.value().tensor))


def _many(function: Callable[[Any, Any], Any]) -> Translate:
    def translate(node: Node) -> Value:
        values = [value for value in node.inputs if value is not None]
        leader, tensors = aligned(values)
        return leader.like(reduce(function, tensors))

    return translate


def _mean(node: Node) -> Value:
    values = [value for value in node.inputs if value is not None]
    leader, tensors = aligned(values)
    return leader.like(reduce(tf.add, tensors) * np.float32(1 / len(tensors)))


def _divide(node: Node) -> Value:
    leader, (above, below) = aligned([node.value(0), node.value(1)])
    if isinstance(below, (np.ndarray, np.generic)) and np.issubdtype(below.dtype, np.floating):
        return leader.like(above * np.asarray(1 / np.asarray(below), below.dtype))  # a product can be quantized
    whole = not (above.dtype if isinstance(above, tf.Tensor) else tf.as_dtype(above.dtype)).is_floating
    return leader.like(tf.truncatediv(above, below) if whole else tf.divide(above, below))


def _power(node: Node) -> Value:
    base, exponent = node.value(0), node.value(1)
    known = float(exponent.tensor.reshape(-1)[0]) if exponent.is_constant and exponent.size == 1 else None
    simple = {1.0: tf.identity, 2.0: tf.square, 0.5: tf.sqrt, -0.5: tf.math.rsqrt, 3.0: lambda x: x * tf.square(x)}
    if known in simple:
        return base.like(simple[known](base.tensor))
    leader, (x, y) = aligned([base, exponent])
    return leader.like(tf.pow(x, tf.cast(y, x.dtype)))


def _clip(node: Node) -> Value:
    low, high = node.option("min", 1), node.option("max", 2)
    return node.value().like(clipped(node.value().tensor, low, high))


def clipped(tensor: Any, low: float | None, high: float | None) -> Any:
    """Limit a tensor, in the form that is part of the operator before it where there is one."""
    if low == 0 and high == _SIX:
        return tf.nn.relu6(tensor)
    if low == 0:
        tensor, low = tf.nn.relu(tensor), None
    if low is not None:
        tensor = tf.maximum(tensor, tf.cast(low, tensor.dtype))
    return tensor if high is None else tf.minimum(tensor, tf.cast(high, tensor.dtype))


def _leaky_relu(node: Node) -> Value:
    return node.value().like(tf.nn.leaky_relu(node.value().tensor, node.attribute("alpha", 0.01)))


def _prelu(node: Node) -> Value:
    leader, (x, slope) = aligned([node.value(0), node.value(1)])
    return leader.like(tf.nn.relu(x) + (-slope) * tf.nn.relu(-x))  # the form that becomes one PRELU


def _elu(node: Node) -> Value:
    x, alpha = node.value().tensor, node.attribute("alpha", 1.0)
    if alpha == 1:
        return node.value().like(tf.nn.elu(x))
    return node.value().like(tf.nn.relu(x) + alpha * tf.nn.elu(-tf.nn.relu(-x)))


def _selu(node: Node) -> Value:
    x, alpha = node.value().tensor, node.attribute("alpha", _SELU_ALPHA)
    gamma = node.attribute("gamma", _SELU_GAMMA)
    return node.value().like(gamma * (tf.nn.relu(x) + alpha * tf.nn.elu(-tf.nn.relu(-x))))


def hard_sigmoid(x: Any, alpha: float, beta: float) -> Any:
    """Return the straight line ``alpha * x + beta``, limited to 0 … 1."""
    return clipped(x * alpha + beta, 0.0, 1.0)


def _hard_sigmoid(node: Node) -> Value:
    alpha, beta = node.attribute("alpha", 0.2), node.attribute("beta", 0.5)
    return node.value().like(hard_sigmoid(node.value().tensor, alpha, beta))


def _hard_swish(x: Any) -> Any:
    return x * tf.nn.relu6(x + 3.0) * (1 / _SIX)


def softplus(x: Any) -> Any:
    """Return ``log(1 + exp(x))``, of operators that LiteRT has, without overflow."""
    return tf.nn.relu(x) + tf.math.log(1.0 + tf.exp(-tf.abs(x)))


def _gelu(node: Node) -> Value:
    approximate = node.attribute("approximate", "none") == "tanh"
    return node.value().like(tf.nn.gelu(node.value().tensor, approximate=approximate))


def _erf(x: Any) -> Any:
    size = tf.abs(x)
    t = 1.0 / (1.0 + _ERF_P * size)
    polynomial = reduce(lambda total, a: (total + a) * t, reversed(_ERF_A), 0.0)
    return tf.sign(x) * (1.0 - polynomial * tf.exp(-tf.square(x)))


def _cast(node: Node) -> Value:
    import onnx  # noqa: PLC0415  # a name of the package above, too

    wanted = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
    value = node.value()
    return value if value.tensor.dtype == wanted else value.like(tf.cast(value.tensor, wanted))


def _where(node: Node) -> Value:
    leader, tensors = aligned([node.value(0), node.value(1), node.value(2)])
    return leader.like(tf.where(*tensors))


def _thresholded_relu(node: Node) -> Value:
    x, threshold = node.value().tensor, node.attribute("alpha", 1.0)
    return node.value().like(x * tf.cast(x > threshold, x.dtype))


def _modulo(node: Node) -> Value:
    leader, (x, y) = aligned([node.value(0), node.value(1)])
    return leader.like(tf.math.mod(x, y) if not node.attribute("fmod", 0) else tf.truncatemod(x, y))


def _trilu(node: Node) -> Value:
    x = node.value()
    shift = int(node.constant(1)) if node.has(1) else 0
    keep = np.triu if node.attribute("upper", 1) else np.tril
    mask = keep(np.ones(x.shape[-2:], np.float32), shift)
    return Value(tensor=x.logical * mask, order=identity(x.rank))


OPERATORS: dict[str, Translate] = {
    "Abs": _unary(tf.abs),
    "Add": _many(tf.add),
    "And": _many(tf.logical_and),
    "Cast": _cast,
    "Ceil": _unary(tf.math.ceil),
    "Clip": _clip,
    "Cos": _unary(tf.cos),
    "Div": _divide,
    "Dropout": _unary(lambda x: x),
    "Elu": _elu,
    "Equal": _many(tf.equal),
    "Erf": _unary(_erf),
    "Exp": _unary(tf.exp),
    "Floor": _unary(tf.floor),
    "Gelu": _gelu,
    "Greater": _many(tf.greater),
    "GreaterOrEqual": _many(tf.greater_equal),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(_hard_swish),
    "Identity": _unary(lambda x: x),
    "LeakyRelu": _leaky_relu,
    "Less": _many(tf.less),
    "LessOrEqual": _many(tf.less_equal),
    "Log": _unary(tf.math.log),
    "Max": _many(tf.maximum),
    "Mean": _mean,
    "Min": _many(tf.minimum),
    "Mish": _unary(lambda x: x * tf.tanh(softplus(x))),
    "Mod": _modulo,
    "Mul": _many(tf.multiply),
    "Neg": _unary(tf.negative),
    "Not": _unary(tf.logical_not),
    "Or": _many(tf.logical_or),
    "PRelu": _prelu,
    "Pow": _power,
    "Reciprocal": _unary(lambda x: 1.0 / x),
    "Relu": _unary(tf.nn.relu),
    "Round": _unary(tf.round),
    "Selu": _selu,
    "Sigmoid": _unary(tf.sigmoid),
    "Sign": _unary(tf.sign),
    "Sin": _unary(tf.sin),
    "Softplus": _unary(softplus),
    "Softsign": _unary(lambda x: x / (1.0 + tf.abs(x))),
    "Sqrt": _unary(tf.sqrt),
    "Sub": _many(tf.subtract),
    "Sum": _many(tf.add),
    "Tanh": _unary(tf.tanh),
    "ThresholdedRelu": _thresholded_relu,
    "Trilu": _trilu,
    "Where": _where,
    "Xor": _many(tf.math.logical_xor),
}
