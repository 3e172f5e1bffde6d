"""ONNX operators written in TensorFlow, one function each. Importing this imports TensorFlow."""

from __future__ import annotations

from converters.importers.onnx_ops import (
    convolution,
    elementwise,
    learned,
    linear,
    normalization,
    pooling,
    recurrent,
    reduction,
    resizing,
    shaping,
)
from converters.importers.onnx_ops.node import Translate

OPERATORS: dict[str, Translate] = {
    **convolution.OPERATORS,
    **elementwise.OPERATORS,
    **learned.OPERATORS,
    **linear.OPERATORS,
    **normalization.OPERATORS,
    **pooling.OPERATORS,
    **recurrent.OPERATORS,
    **reduction.OPERATORS,
    **resizing.OPERATORS,
    **shaping.OPERATORS,
}
