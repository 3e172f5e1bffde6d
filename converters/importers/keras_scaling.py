"""Moving Normalization layers at a Keras model's inputs in front of the model: `converters.importers.scaling`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edge_sdk.contracts import Standardize

_SMALLEST = 1e-7  # what Keras divides by at least, its backend.epsilon


def without_normalization(model: Any) -> tuple[Any, dict[str, Standardize]]:
    """Return the model without the Normalization layers that are first, and what they did, by input name.

    The model itself, and nothing, when there are none.
    """
    import keras  # noqa: PLC0415  # heavy, and only this function needs it

    first = _normalized_inputs(model)
    if not first:
        return model, {}

    def plain(layer: Any) -> Any:
        if layer in first.values():
            return keras.layers.Identity(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    twin = keras.models.clone_model(model, clone_function=plain)
    for old, new in zip(model.layers, twin.layers, strict=True):
        if old not in first.values():
            new.set_weights(old.get_weights())
    return twin, {name: _step(layer) for name, layer in first.items()}


def _normalized_inputs(model: Any) -> dict[str, Any]:
    """Return the Normalization layers that alone take one of the model's inputs, by its name."""
    found = {}
    for tensor in model.inputs:
        takers = {layer for layer in model.layers if any(tensor is given for given in _given(layer))}
        if len(takers) == 1 and _normalizes(*takers):
            (found[tensor.name],) = takers
    return found


def _given(layer: Any) -> list[Any]:
    return [given for node in layer._inbound_nodes for given in node.input_tensors]  # noqa: SLF001  # no public way


def _normalizes(layer: Any) -> bool:
    if type(layer).__name__ != "Normalization" or layer.invert:
        return False
    return bool(math.prod(layer.mean.shape) == layer.mean.shape[-1])  # by the last axis, as a step does


def _step(layer: Any) -> Standardize:
    import keras  # noqa: PLC0415

    mean, variance = (keras.ops.convert_to_numpy(values).reshape(-1) for values in (layer.mean, layer.variance))
    std = np.maximum(np.sqrt(variance), _SMALLEST)
    return Standardize(mean=tuple(mean.tolist()), std=tuple(std.tolist()))
