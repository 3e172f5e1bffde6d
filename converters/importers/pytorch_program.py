"""A PyTorch model as the contract has it: its inputs by their order there, channels last, and one output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edge_sdk.contracts import ModelContract, ModelInput
from edge_sdk.errors import ConversionError

Order = tuple[int, ...]
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "convolution")


def served_program(program: Any, contract: ModelContract) -> Any:
    """Return a module that calls an exported program, its inputs those of the contract, in its order.

    Raises:
        ConversionError: The program was exported for training, or its inputs are not those of the contract.
    """
    from torch.utils import _pytree as pytree  # noqa: PLC0415

    _check_inference(program)
    shapes = _shapes(program)
    wanted = {item.name: item for item in contract.input.inputs}
    names = _matched_names(list(shapes), list(wanted))
    batched = _check_batch(shapes)
    orders = [_order(shapes[name][1:], wanted[names[name]], feeds=_feeds(program, name)) for name in shapes]
    places = [list(wanted).index(names[name]) for name in shapes]
    spec = program.call_spec.in_spec

    def call(inner: Any, given: Sequence[Any]) -> Any:
        ordered = [_moved(given[place], order) for place, order in zip(places, orders, strict=True)]
        args, kwargs = pytree.tree_unflatten(ordered, spec)
        return inner(*args, **kwargs)

    return served(program.module(), call, batched=batched)


def served(inner: Any, call: Callable[[Any, Sequence[Any]], Any], *, batched: bool) -> Any:
    """Return a module around another.

    Args:
        inner: What holds the weights.
        call: Maps it and the inputs, in the contract's order and shape, each (n, …), to its answer.
        batched: Whether it takes many windows at a time.
    """
    import torch  # noqa: PLC0415  # heavy, and only models of PyTorch need it

    class Served(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner
            self.batched = batched
            self.training = False  # by hand: an exported program has no eval()

        def forward(self, *given: Any) -> Any:
            answer = _only(call(self.inner, given))
            return answer.unsqueeze(-1) if answer.ndim == 1 else answer

    return Served()


def channels_first(wanted: ModelInput) -> Order | None:
    """Return the axes that put an input's channels in front, the batch first; ``None`` for one without channels."""
    axes = len(wanted.shape)
    return (0, axes, *range(1, axes)) if axes > 1 else None


def _moved(given: Any, order: Order | None) -> Any:
    return given if order is None else given.permute(order)


def _only(answer: Any) -> Any:
    if isinstance(answer, dict):
        answer = tuple(answer.values())
    if not isinstance(answer, (tuple, list)):
        return answer
    if len(answer) != 1:
        raise ConversionError(f"the model has {len(answer)} outputs", remedy="give it one")
    return answer[0]


def _check_inference(program: Any) -> None:
    trains = bool(program.graph_signature.buffers_to_mutate)
    for node in program.graph.nodes:
        arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
        named = dict(zip((argument.name for argument in arguments), node.args, strict=False)) | node.kwargs
        trains |= any(named.get(name) is True for name in ("train", "training"))
    if trains:
        raise ConversionError(
            "the program was exported for training: dropout and batch statistics would change its answers",
            remedy="call model.eval() before torch.export.export",
        )


def _shapes(program: Any) -> dict[str, tuple[Any, ...]]:
    """Return the shape of each input with its batch, a size that is open as text."""
    import torch  # noqa: PLC0415

    found = {}
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs:
            given = node.meta.get("val")
            if not isinstance(given, torch.Tensor) or given.dtype != torch.float32:
                raise ConversionError(
                    f"the program's input '{node.name}' is no float32 tensor",
                    remedy="export it with float32 tensors alone: model.float()",
                )
            found[node.name] = tuple(size if isinstance(size, int) else str(size) for size in given.shape)
    return found


def _matched_names(has: list[str], wanted: list[str]) -> dict[str, str]:
    """Return the contract's name for each of the program's inputs."""
    if len(has) == len(wanted) == 1:
        return {has[0]: wanted[0]}
    if set(has) != set(wanted):
        raise ConversionError(
            f"the program's inputs are {', '.join(has)}, and the contract's {', '.join(wanted)}",
            remedy="name the arguments of the model's forward() as the contract does",
        )
    return {name: name for name in has}


def _check_batch(shapes: dict[str, tuple[Any, ...]]) -> bool:
    """Return whether the programs takes any number of windows at a time."""
    batches = {shape[0] if shape else None for shape in shapes.values()}
    if batches == {1}:
        return False
    if len(batches) == 1 and isinstance(next(iter(batches)), str):
        return True
    raise ConversionError(
        f"the program's inputs begin with {', '.join(map(str, batches))} windows at a time",
        remedy="export it with an example of one window, or with an open batch: dynamic_shapes="
        "{'x': {0: torch.export.Dim('batch')}}",
    )


def _order(has: tuple[Any, ...], wanted: ModelInput, *, feeds: set[str]) -> Order | None:
    """Return the axes that turn the contract's input into the program's; ``None`` where they are the same."""
    first = channels_first(wanted)
    moved = first and tuple(wanted.shape[axis - 1] for axis in first[1:])
    if has == wanted.shape and has == moved and any(kind in name for name in feeds for kind in _CONVOLUTIONS):
        raise ConversionError(
            f"nobody can tell whether input '{wanted.name}' of shape {has} has its channels first or last",
            remedy="begin the model's forward() with x.permute(…) from channels last, and export it again",
        )
    if has == wanted.shape:
        return None
    if has == moved:
        return first
    raise ConversionError(
        f"the program's input '{wanted.name}' is {has}, and the contract's {wanted.shape}",
        remedy="make them the same; channels may be first in the program and last in the contract, and only the "
        "batch may be open",
    )


def _feeds(program: Any, name: str) -> set[str]:
    return {str(user.target) for node in program.graph.nodes if node.name == name for user in node.users}
