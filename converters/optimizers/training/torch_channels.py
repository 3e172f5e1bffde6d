"""Channel pruning of a PyTorch graph of layers, through Torch-Pruning, which finds the layers that go together."""

from __future__ import annotations

import copy
import warnings
from typing import Any

from converters.importers.pytorch_layers import loose_weights
from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError, MissingDependency


def without_torch_channels(graph: Any, example: tuple[Any, ...], *, sparsity: float) -> tuple[Any, tuple[str, ...]]:
    """Return a smaller graph without the least important channels, and what was removed, in words.

    A channel's importance is the sum of the magnitudes of its weights, as in Li et al., Pruning Filters for Efficient
    ConvNets, 2017. The model's inputs and outputs stay as they are.

    Args:
        graph: What `converters.importers.pytorch_layers.as_layers` made.
        example: One window, each input (1, …).
        sparsity: Fraction of each layer's channels.

    Raises:
        ConversionError: The model has weights outside its layers, or sizes of layers are built into it.
        MissingDependency: Torch-Pruning is not installed.
    """
    try:
        import torch_pruning  # type: ignore[import-untyped, import-not-found, unused-ignore]  # noqa: PLC0415  # heavy
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} is not installed", remedy="run: pip install 'wearable-edge-sdk[torch]'"
        ) from error
    loose = loose_weights(graph)
    if loose:
        raise _refused(f"{', '.join(loose)} are not weights of a convolution or dense layer")
    smaller = copy.deepcopy(graph)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of its own code
            torch_pruning.pruner.BasePruner(
                smaller,
                example,
                importance=torch_pruning.importance.MagnitudeImportance(p=1),
                pruning_ratio=sparsity,
                ignored_layers=_last_layers(smaller),
            ).step()
        same = smaller(*example).shape == graph(*example).shape
    except Exception as error:  # whatever a graph raises whose sizes no longer fit
        raise _refused(first_line(error)) from error
    if not same:
        raise _refused("its output would change")
    return smaller, _told(graph, smaller)


def _last_layers(graph: Any) -> list[Any]:
    """Return the layers that make the output: those that nothing with weights comes after."""
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    found, waiting = [], [output]
    while waiting:
        for node in waiting.pop().all_input_nodes:
            layer = graph.get_submodule(node.target) if node.op == "call_module" else None
            if layer is not None and hasattr(layer, "weight") and layer.weight.ndim > 1:
                found.append(layer)
            else:
                waiting.append(node)
    return found


def _told(graph: Any, smaller: Any) -> tuple[str, ...]:
    layers = []
    for name, layer in graph.named_children():
        before, after = len(layer.weight), len(smaller.get_submodule(name).weight)
        if layer.weight.ndim > 1 and after != before:
            layers.append(f"{name.removesuffix('_layer')} {before} → {after}")
    counts = [sum(weights.numel() for weights in model.parameters()) for model in (graph, smaller)]
    return (f"channels: {', '.join(layers) or 'none could be removed'}", f"parameters: {counts[0]} → {counts[1]}")


def _refused(why: str) -> ConversionError:
    return ConversionError(
        f"no channels can be removed from this PyTorch model ({why})",
        remedy="prune it by magnitude (recipe int8-pruned), or bring a model of convolutions and dense layers without "
        "sizes written into its code",
    )
