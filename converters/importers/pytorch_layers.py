"""A PyTorch model as a graph of layers that own their weights, for what works on layers: folding and pruning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_sdk.errors import ConversionError

_KINDS = ("conv1d", "conv2d", "linear", "batch_norm", "layer_norm")
_LOOPS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_OPEN_BATCH = "dynamic_shapes={'x': {0: torch.export.Dim('batch')}}"


def as_layers(served: Any, example: tuple[Any, ...]) -> Any:
    """Return a graph of a served module's operators, those with weights as layers; its weights are copies.

    Args:
        served: What `converters.importers.pytorch_program.served` made.
        example: One window, each input (1, …).
    """
    import torch  # noqa: PLC0415  # heavy, and only models of PyTorch need it

    given = tuple(torch.cat([x, x]) for x in example) if served.batched else example
    opened = (tuple({0: torch.export.Dim.AUTO} for _ in example),) if served.batched else None
    with torch.no_grad():
        program = torch.export.export(served, given, dynamic_shapes=opened)
    traced = program.module(check_guards=False)
    graph = torch.fx.GraphModule(_copied(traced), traced.graph)
    for node in list(graph.graph.nodes):
        if node.op == "call_module":  # a guard on shapes
            graph.graph.erase_node(node)
        elif _kind(node) and all(source.op == "get_attr" for source in _weights(node)):
            _replace(graph, node)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph.eval()


def with_folded_normalization(graph: Any) -> Any:
    """Return a graph whose batch normalizations right after a convolution or dense layer are part of its weights."""
    from torch.nn.utils import fusion  # noqa: PLC0415

    for node in list(graph.graph.nodes):
        maker = node.args[0] if node.op == "call_module" else None
        if maker is None or maker.op != "call_module" or len(maker.users) > 1 or _uses(graph, maker.target) > 1:
            continue
        layer, norm = graph.get_submodule(maker.target), graph.get_submodule(node.target)
        if hasattr(norm, "running_mean") and layer.weight.ndim > 1:
            fuse = fusion.fuse_linear_bn_eval if _is_dense(layer) else fusion.fuse_conv_bn_eval
            graph.add_submodule(maker.target, fuse(layer, norm))
            node.replace_all_uses_with(maker)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def _uses(graph: Any, target: str) -> int:
    return sum(node.target == target for node in graph.graph.nodes)


def _is_dense(layer: Any) -> bool:
    return bool(layer.weight.ndim == 2)  # noqa: PLR2004  # a convolution's have an axis for each of its own


def loose_weights(graph: Any) -> list[str]:
    """Return the names of weights that operators use without a layer, such as those of recurrent ones."""
    return [str(node.target) for node in graph.graph.nodes if node.op == "get_attr"]


def _copied(traced: Any) -> Any:
    """Return a plain module with copies of all weights and constants, at the same places."""
    import torch  # noqa: PLC0415

    root = torch.nn.Module()
    held = {
        **dict(traced.named_parameters(remove_duplicate=False)),
        **dict(traced.named_buffers(remove_duplicate=False)),
    }
    targets = {str(node.target) for node in traced.graph.nodes if node.op == "get_attr"}
    for target in sorted(targets):
        *path, name = target.split(".")
        owner = root
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, torch.nn.Module())
            owner = getattr(owner, part)
        values = held[target] if target in held else traced.get_buffer(target)
        if isinstance(values, torch.nn.Parameter):
            owner.register_parameter(name, torch.nn.Parameter(values.detach().clone()))
        else:
            owner.register_buffer(name, values.detach().clone())
    for node in traced.graph.nodes:
        if node.op == "call_module":
            root.add_module(str(node.target), torch.nn.Identity())
    return root


def _kind(node: Any) -> str:
    """Return which layer an operator is; empty for none."""
    name = _name(node) if node.op == "call_function" else ""
    return name if name in _KINDS else ""


def _name(node: Any) -> str:
    return str(getattr(node.target, "__name__", "")).partition(".")[0]


def _named(node: Any) -> dict[str, Any]:
    """Return an operator's arguments by name, with their defaults."""
    arguments = node.target._schema.arguments  # noqa: SLF001  # the only place that names them
    defaults = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
    return {**defaults, **dict(zip((argument.name for argument in arguments), node.args, strict=False)), **node.kwargs}


def _weights(node: Any) -> list[Any]:
    named = _named(node)
    return [named[name] for name in ("weight", "bias", "running_mean", "running_var") if named.get(name) is not None]


def _replace(graph: Any, node: Any) -> None:
    named = _named(node)
    if named.get("weight") is None:
        return
    held = {
        name: graph.get_parameter(source.target) if name in {"weight", "bias"} else graph.get_buffer(source.target)
        for name in ("weight", "bias", "running_mean", "running_var")
        if (source := named.get(name)) is not None
    }
    name = str(named["weight"].target).removesuffix(".weight").replace("inner.", "", 1).replace(".", "_") + "_layer"
    if not hasattr(graph, name):  # a layer may be used twice
        graph.add_submodule(name, _LAYERS[_kind(node)](named, held))
    with graph.graph.inserting_after(node):
        call = graph.graph.call_module(name, (named["input"],))
    node.replace_all_uses_with(call)
    graph.graph.erase_node(node)


def _convolution(named: dict[str, Any], held: dict[str, Any]) -> Any:
    import torch  # noqa: PLC0415

    weight, groups = held["weight"], named["groups"]
    kind = {3: torch.nn.Conv1d, 4: torch.nn.Conv2d}[weight.ndim]
    layer = kind(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        stride=_sizes(named["stride"], weight.ndim - 2),
        padding=named["padding"] if isinstance(named["padding"], str) else _sizes(named["padding"], weight.ndim - 2),
        dilation=_sizes(named["dilation"], weight.ndim - 2),
        groups=groups,
        bias="bias" in held,
    )
    return _filled(layer, held)


def _linear(named: dict[str, Any], held: dict[str, Any]) -> Any:  # noqa: ARG001  # as the others
    import torch  # noqa: PLC0415

    return _filled(torch.nn.Linear(*reversed(held["weight"].shape), bias="bias" in held), held)


def _batch_norm(named: dict[str, Any], held: dict[str, Any]) -> Any:
    import torch  # noqa: PLC0415

    class BatchNorm(torch.nn.BatchNorm1d):  # type: ignore[misc]  # torch is not followed by the type checker
        def _check_input_dim(self, input: Any) -> None:  # noqa: A002  # of any number of axes
            pass

    return _filled(BatchNorm(len(held["weight"]), eps=named["eps"]), held)


def _layer_norm(named: dict[str, Any], held: dict[str, Any]) -> Any:
    import torch  # noqa: PLC0415

    return _filled(torch.nn.LayerNorm(list(named["normalized_shape"]), eps=named["eps"], bias="bias" in held), held)


_LAYERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "conv1d": _convolution,
    "conv2d": _convolution,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
}


def _filled(layer: Any, held: dict[str, Any]) -> Any:
    import torch  # noqa: PLC0415

    with torch.no_grad():
        for name, values in held.items():
            getattr(layer, name).copy_(values)
    return layer.eval()


def _sizes(given: Any, axes: int) -> tuple[int, ...]:
    sizes = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    return sizes * axes if len(sizes) == 1 else sizes


def check_batch(graph: Any, example: tuple[Any, ...], *, batched: bool) -> None:
    """Check that a graph answers two windows as it does one.

    Args:
        graph: What `as_layers` made.
        example: One window, each input (1, …).
        batched: Whether its program says so.

    Raises:
        ConversionError: It has the number of windows built in.
    """
    import torch  # noqa: PLC0415

    loops = any(node.op == "call_function" and _name(node) in _LOOPS for node in graph.graph.nodes)
    with torch.no_grad():
        one = graph(*example)
        try:
            # A loop whose first state is for one window would read beyond it, and end the process.
            two = one if loops and not batched else graph(*(torch.cat([x, x]) for x in example))
            alike = two.shape[0] == 2 and torch.allclose(two, torch.cat([one, one]), atol=1e-5)  # noqa: PLR2004
        except RuntimeError:
            alike = False
    if not alike:
        raise ConversionError(
            "the program answers one window at a time, and training needs many",
            remedy=f"export it with an open batch: torch.export.export(model, (example,), {_OPEN_BATCH})",
        )
