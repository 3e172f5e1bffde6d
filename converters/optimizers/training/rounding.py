"""Layers that round as int8 will. Importing this imports Keras: do it inside a function.

The rounding is Keras's own, `keras.quantizers.fake_quant_with_min_max_vars`: gradients pass it unchanged within the
range, and not at all beyond it (the straight-through estimator of Jacob et al., Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference, 2018).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

_TINY = 1e-8  # a range must not be empty
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_WITH_KERNELS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.LSTM,
    keras.layers.GRU,
    keras.layers.SimpleRNN,
    *_DEPTHWISE,
)


def rounding_layer(layer: Any, *, per_tensor: bool) -> Any:
    """Return what stands for a layer where numbers are rounded; the layer itself where nothing of it is.

    Args:
        layer: Made already; called with one tensor.
        per_tensor: Whether all of a dense kernel's channels have one scale.
    """
    if isinstance(layer, keras.layers.BatchNormalization):
        return Settled(layer)
    if isinstance(layer, _WITH_KERNELS):
        return RoundedWeights(layer, per_tensor=per_tensor and isinstance(layer, keras.layers.Dense))
    return layer


class RoundedActivations(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Rounds a tensor to 256 steps of one size, one of which is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.low = self.add_weight(name="low", shape=(), initializer="zeros", trainable=False)
        self.high = self.add_weight(name="high", shape=(), initializer="ones", trainable=False)

    def set_range(self, low: float, high: float) -> None:
        """Set the smallest and the largest value; 0 is between them in any case."""
        self.low.assign(min(low, 0.0))
        self.high.assign(max(high, _TINY))

    def call(self, inputs: Any) -> Any:
        """Return the inputs, rounded."""
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, self.low.value, self.high.value)


class Settled(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Calls a normalization with its final statistics, in training too. A model would tell its layer otherwise."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return what the layer answers."""
        return self.layer(inputs, training=False)


class RoundedWeights(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Calls a layer with its kernels rounded; the kernels themselves stay as they are, and learn.

    Args:
        layer: Made already; called with one tensor.
        per_tensor: Whether all of a kernel's channels have one scale.
    """

    def __init__(self, layer: Any, *, per_tensor: bool) -> None:
        super().__init__()
        self.layer, self._per_tensor = layer, per_tensor
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return what the layer answers."""
        kernels = [weight for weight in self.layer.weights if weight.name.endswith("kernel")]
        values = [(kernel, rounded_kernel(kernel, channels=self._channels(kernel))) for kernel in kernels]
        with keras.StatelessScope(values):
            return self.layer(inputs)

    def _channels(self, kernel: Any) -> int:
        """Return how many scales LiteRT gives a kernel: one for each of the last axis; depthwise, of the last two."""
        deep = isinstance(self.layer, _DEPTHWISE)
        if self._per_tensor:
            return 1
        return int(np.prod(kernel.shape[-2:] if deep or kernel.name == "depthwise_kernel" else kernel.shape[-1:]))


def rounded_kernel(kernel: Any, *, channels: int) -> Any:
    """Return a kernel's values, each channel's rounded to 255 steps around 0 of a size of its own.

    Args:
        kernel: Its last axes are the channels.
        channels: How many there are.
    """
    flat = ops.reshape(kernel.value, (-1, channels))
    limit = ops.maximum(ops.stop_gradient(ops.max(ops.abs(flat), axis=0)), _TINY)
    rounded = keras.quantizers.fake_quant_with_min_max_vars(flat, -limit, limit, narrow_range=True, axis=-1)
    return ops.reshape(rounded, kernel.shape)
