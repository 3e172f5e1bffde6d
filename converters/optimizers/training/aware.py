"""Quantization-aware training of a Keras model: it is trained while its numbers are rounded as int8 will round them.

What is rounded is what LiteRT's quantizer stores: the kernels, each channel with a scale of its own, and the tensors
that operators read. A convolution, its normalization and its ReLU are one operator there, so nothing is rounded between
them; normalization has its final statistics, which then only scale the kernel's channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.optimizers.training.graphs import rewired
from edge_sdk.tensors import FloatArray

_FUSED = {"BatchNormalization", "ReLU", "Relu", "Relu6"}
# What only moves values: rounding after it is rounding before it.
_MOVING = {
    *("Flatten", "Reshape", "Permute", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D"),
    *("MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "UpSampling1D", "UpSampling2D"),
}
# An output of these is not rounded: its range is fixed, and a loss cannot take the logarithm of 0.
_BOUNDED = {"softmax", "sigmoid", "tanh"}
_RELU = {"relu", "relu6"}
_CALIBRATION_WINDOWS = 512

Round = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Aware:
    """A model's twin that rounds; it has the same weights.

    Attributes:
        model: Trained instead.
        probe: The float model; gives every tensor that its twin rounds.
        rounders: What rounds them, in the same order.
    """

    model: Any
    probe: Any
    rounders: tuple[Any, ...]

    def calibrate(self, inputs: dict[str, FloatArray]) -> None:
        """Set the ranges to what the float tensors reach on some windows, as LiteRT's calibration will."""
        import keras  # noqa: PLC0415  # heavy, and only where there is a model of it

        count = len(next(iter(inputs.values())))
        chosen = np.linspace(0, count - 1, min(count, _CALIBRATION_WINDOWS)).astype(np.int64)
        found = self.probe([inputs[tensor.name][chosen] for tensor in self.probe.inputs], training=False)
        for rounder, values in zip(self.rounders, keras.tree.flatten(found), strict=True):
            rounder.set_range(float(np.min(values)), float(np.max(values)))


def aware_of_rounding(model: Any, *, per_tensor: bool) -> Aware:
    """Return a model's twin that rounds.

    Args:
        model: As `copied` returns it.
        per_tensor: Whether the weights of dense layers have one scale for all.
    """
    import keras  # noqa: PLC0415  # heavy, and only this function needs it

    from converters.optimizers.training.rounding import RoundedActivations, rounding_layer  # noqa: PLC0415

    tensors: list[Any] = []
    rounders: list[Any] = []
    layers: dict[int, Any] = {}

    def seen(tensor: Any) -> Any:
        tensors.append(tensor)
        return tensor

    def rounded(tensor: Any) -> Any:
        rounders.append(RoundedActivations())
        return rounders[-1](tensor)

    def rounding(layer: Any) -> Any:
        return layers.setdefault(id(layer), rounding_layer(layer, per_tensor=per_tensor))

    plain = _wired(model, seen, lambda layer: layer)
    probe = keras.Model(keras.tree.flatten(plain.input), tensors)
    return Aware(model=_wired(model, rounded, rounding), probe=probe, rounders=tuple(rounders))


def _wired(model: Any, round_: Round, twin_of: Callable[[Any], Any]) -> Any:
    """Return a model each of whose operators reads tensors through ``round_``, made of the layers' twins."""
    import keras  # noqa: PLC0415

    done: dict[int, tuple[Any, Any]] = {}  # holds the tensor too: its identity must not be given to another

    def once(tensor: Any) -> Any:
        if not isinstance(tensor, keras.KerasTensor):
            return tensor
        if id(tensor) not in done:
            done[id(tensor)] = tensor, round_(tensor)
        return done[id(tensor)][1]

    def call(layer: Any, *arguments: Any, **named: Any) -> Any:
        if not (_kind(layer) in _MOVING | _FUSED or (_kind(layer) == "Activation" and _activation(layer) in _RELU)):
            arguments, named = keras.tree.map_structure(once, (arguments, named))
        if len(arguments) == 1 and all(value is None for value in named.values()):
            return twin_of(layer)(*arguments)
        return layer(*arguments, **named)

    wired = rewired(model, call)
    (output,) = wired.outputs
    return keras.Model(wired.input, output if _is_bounded(_last_layer(model)) else once(output))


def _last_layer(model: Any) -> Any:
    """Return the layer that gives a model's output."""
    makers: dict[int, tuple[Any, Any]] = {}

    def call(layer: Any, *arguments: Any, **named: Any) -> Any:
        answer = layer(*arguments, **named)
        makers[id(answer)] = answer, layer
        return answer

    (output,) = rewired(model, call).outputs
    return makers[id(output)][1]


def _is_bounded(layer: Any) -> bool:
    return not _BOUNDED.isdisjoint({_activation(layer), _kind(layer).lower()})


def _kind(layer: Any) -> str:
    return type(layer).__name__


def _activation(layer: Any) -> str:
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))
