"""Channel pruning of a Keras model: whole channels are removed, so that it is smaller and faster on every runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.optimizers.training.channel_tracing import Channels, Wiring, trace_channels
from converters.optimizers.training.graphs import Remake, remade
from edge_sdk.errors import ConversionError

Keep = NDArray[np.bool_]
# From a layer's name to how much each channel it makes matters.
Importance = Callable[[Any], NDArray[np.float64]]


def without_channels(model: Any, *, sparsity: float, importance: Importance) -> tuple[Any, tuple[str, ...]]:
    """Return a smaller model without the least important channels, and what was removed, in words.

    Of all layers that must keep the same channels, that fraction of the channels is removed. The model's inputs and
    outputs stay as they are, and so do units of recurrent layers and what meets in layers not known here.

    Args:
        model: A Keras model.
        sparsity: Fraction of each layer's channels.
        importance: Of the channels that a layer makes.

    Raises:
        ConversionError: No channel can be removed, or the model is Python code rather than a graph of layers.
    """
    wiring = trace_channels(model)
    removed = least_important(wiring, sparsity=sparsity, importance=importance)
    if not removed:
        raise ConversionError(_nothing_to_remove(wiring), remedy="use int8, or int8-pruned")

    def kept(channels: Channels) -> Keep:
        return ~np.isin(wiring.roots(channels), sorted(removed))

    def remake(layer: Any) -> Remake:
        if id(layer) not in wiring.inputs:
            return Remake(config=layer.get_config(), weights=layer.get_weights())
        return _sliced(layer, kept(wiring.inputs[id(layer)]), kept(wiring.outputs[id(layer)]))

    smaller = remade(model, remake)
    return smaller, tuple(_told(model, smaller, wiring, kept))


def smallest_weights(layer: Any) -> NDArray[np.float64]:
    """Return the sum of the magnitudes of the weights that make each channel.

    As in Li et al., Pruning Filters for Efficient ConvNets, 2017.
    """
    weights = layer.pointwise_kernel if hasattr(layer, "pointwise_kernel") else layer.kernel
    kernel = np.abs(np.asarray(weights, np.float64))
    sums: NDArray[np.float64] = kernel.sum(axis=tuple(range(kernel.ndim - 1)))
    return sums


def least_important(wiring: Wiring, *, sparsity: float, importance: Importance) -> set[int]:
    """Return the roots of the channels to remove: of each group of layers that go together, the least important."""
    scores: dict[int, float] = {}
    for layer in (maker for maker in wiring.makers if wiring.removable(wiring.outputs[id(maker)])):
        values = importance(layer)
        # Layers of a group differ in size and scale; what counts is a channel's share of its layer.
        for root, value in zip(wiring.roots(wiring.outputs[id(layer)]).tolist(), values / values.sum(), strict=True):
            scores[root] = scores.get(root, 0.0) + float(value)
    removed: set[int] = set()
    for group in _groups(wiring):
        ordered = sorted(group, key=lambda root: scores[root])
        removed |= set(ordered[: min(round(sparsity * len(group)), len(group) - 1)])
    return removed


def _groups(wiring: Wiring) -> list[list[int]]:
    """Return the removable roots of layers that share any."""
    groups: list[list[int]] = []
    for layer in wiring.makers:
        roots = wiring.removable(wiring.outputs[id(layer)])
        for other in [group for group in groups if not set(group).isdisjoint(roots)]:
            groups.remove(other)
            roots = list(dict.fromkeys([*other, *roots]))
        if roots:
            groups.append(roots)
    return groups


def _sliced(layer: Any, before: Keep, after: Keep) -> Remake:
    """Return a layer with only some of its input's and output's channels."""
    config, weights = layer.get_config(), layer.get_weights()
    kind = type(layer).__name__
    if kind.startswith("Depthwise"):
        kernel, *bias = weights
        weights = [kernel[..., before, :], *(values[after] for values in bias)]
    elif kind.startswith("Separable"):
        depthwise, pointwise, *bias = weights
        deep = np.repeat(before, layer.depth_multiplier)
        weights = [depthwise[..., before, :], pointwise[..., deep, :][..., after], *(values[after] for values in bias)]
        config["filters"] = int(after.sum())
    elif hasattr(layer, "cell"):
        kernel, *others = weights
        weights = [kernel[before], *others]
    elif hasattr(layer, "kernel"):
        kernel, *bias = weights
        weights = [kernel[..., before, :][..., after], *(values[after] for values in bias)]
        config["units" if "units" in config else "filters"] = int(after.sum())
    elif kind == "Reshape":
        config["target_shape"] = (*layer.target_shape[:-1], int(after.sum()))
    else:  # one value for each channel, or for all
        weights = [values[..., after] if values.shape[-1] == len(after) else values for values in weights]
    return Remake(config=config, weights=weights)


def _nothing_to_remove(wiring: Wiring) -> str:
    whole = f", nor from {_names(wiring)}, where channels meet" if wiring.left_whole else ""
    return f"no channel can be removed: none from the inputs and the output{whole}"


def _names(wiring: Wiring) -> str:
    return ", ".join(dict.fromkeys(wiring.left_whole))


def _told(model: Any, smaller: Any, wiring: Wiring, kept: Callable[[Channels], Keep]) -> Iterator[str]:
    layers = []
    for layer in wiring.makers:
        keep = kept(wiring.outputs[id(layer)])
        if not keep.all():
            layers.append(f"{layer.name} {len(keep)} → {keep.sum()}")
    yield f"channels: {', '.join(layers)}"
    yield f"parameters: {model.count_params()} → {smaller.count_params()}"
    if wiring.left_whole:
        yield f"channels that meet in these layers were left whole: {_names(wiring)}"
