"""Fitting a model's own inputs and outputs to the contract's: names, order of axes, axes of size one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contracts import ModelContract, OutputContract
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

# A size that the model leaves open is ``None``.
Shape = tuple[Union[int, None], ...]


@dataclass(frozen=True, kw_only=True)
class InputFit:
    """How one of the contract's inputs becomes one of the model's.

    Attributes:
        name: What the contract calls it.
        source: What the model calls it.
        expanded: The contract's shape for one window, batch and axes of size one included.
        order: Axis k of ``expanded`` is the model's axis ``order[k]``.
        remark: What a person should know about it; empty when nothing was changed.
    """

    name: str
    source: str
    expanded: tuple[int, ...]
    order: tuple[int, ...]
    remark: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """What the model is given, for one window."""
        return tuple(self.expanded[self.order.index(axis)] for axis in range(len(self.order)))

    @property
    def permutation(self) -> tuple[int, ...]:
        """What transposes ``expanded`` into the model's order."""
        return tuple(self.order.index(axis) for axis in range(len(self.order)))

    def given(self, values: FloatArray) -> NDArray[np.float32]:
        """Return windows (n, …) as the model takes them."""
        expanded = values.reshape((len(values), *self.expanded[1:]))
        return np.ascontiguousarray(expanded.transpose(self.permutation), dtype=np.float32)


def fit_inputs(found: Mapping[str, Shape], contract: ModelContract) -> tuple[InputFit, ...]:
    """Return how the contract's inputs become the model's, in the contract's order.

    Args:
        found: The model's inputs by name, each with its batch.
        contract: What they must be.

    Raises:
        ConversionError: They cannot be the same, or it is not clear how.
    """
    wanted = contract.input.inputs
    names = {re.sub(r"\W", "_", name): name for name in found}
    sources = [names.get(re.sub(r"\W", "_", item.name)) for item in wanted]
    if len(found) == len(wanted) == 1:
        sources = list(found)
    if len(found) != len(wanted) or None in sources:
        raise _unlike(found, contract, "name each as the model does")
    pairs = zip(wanted, map(str, sources), strict=True)
    fits = [_fit(item.name, source, found[source], item.shape) for item, source in pairs]
    if None in fits:
        raise _unlike(found, contract, "make the shapes those of the model, without its batch; channels may be last")
    return tuple(fit for fit in fits if fit)


def _fit(name: str, source: str, found: Shape, wanted: tuple[int, ...]) -> InputFit | None:
    if not found or found[0] not in (None, 1):
        raise ConversionError(
            f"the model's input '{source}' has shape {_words(found)}: its first axis is not a batch of one window",
            remedy="export it with a batch of one, or one left open",
        )
    batched = (1, *wanted)
    rank = len(batched)
    straight, first = tuple(range(rank)), (0, *range(2, rank), 1)
    if _is(found, batched):
        square = rank > 2 and wanted[-1] == wanted[0] != 1  # noqa: PLR2004
        remark = f"input '{name}' has axes of the same size: they were taken to be in the contract's order"
        return InputFit(name=name, source=source, expanded=batched, order=straight, remark=remark if square else "")
    if rank > 2 and _is(found, (1, wanted[-1], *wanted[:-1])):  # noqa: PLR2004
        return InputFit(name=name, source=source, expanded=batched, order=first, remark=_moved(name, "last"))
    if rank > 2 and _is(found, (1, *wanted[1:], wanted[0])):  # noqa: PLR2004
        order = (0, rank - 1, *range(1, rank - 1))
        return InputFit(name=name, source=source, expanded=batched, order=order, remark=_moved(name, "first"))
    return _fit_with_ones(name, source, found, wanted)


def _fit_with_ones(name: str, source: str, found: Shape, wanted: tuple[int, ...]) -> InputFit | None:
    """Fit shapes of which one has more axes of size one."""
    sizes = tuple(1 if size is None and axis == 0 else size for axis, size in enumerate(found))
    if None in sizes:
        return None
    known = tuple(int(size or 0) for size in sizes)
    inner, outer = [size for size in known if size != 1], [size for size in wanted if size != 1]
    remark = f"axes of size one of input '{name}' were added or taken away"
    if inner == outer:
        return InputFit(name=name, source=source, expanded=known, order=tuple(range(len(known))), remark=remark)
    if len(inner) > 1 and inner == [outer[-1], *outer[:-1]]:
        channels = known.index(inner[0], 1)
        order = (*(axis for axis in range(len(known)) if axis != channels), channels)
        expanded = tuple(known[axis] for axis in order)
        return InputFit(name=name, source=source, expanded=expanded, order=order, remark=_moved(name, "last"))
    return None


def _is(found: Shape, shape: tuple[int, ...]) -> bool:
    if len(found) != len(shape):
        return False
    return all(have in (None, want) for have, want in zip(found, shape, strict=True))


def _moved(name: str, where: str) -> str:
    return f"input '{name}' has its channels {where} in the contract, and not in the model: they are moved"


def _words(shape: Shape) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def _unlike(found: Mapping[str, Shape], contract: ModelContract, remedy: str) -> ConversionError:
    have = ", ".join(f"{name} {_words(shape)}" for name, shape in found.items())
    want = ", ".join(f"{item.name} {_words(item.shape)}" for item in contract.input.inputs)
    return ConversionError(f"the model's inputs are {have}, the contract's {want}", remedy=remedy)


def choose_output(found: Mapping[str, Shape], output: OutputContract) -> str:
    """Return which of a model's outputs of floats the contract means: the one it names, or the only one of its width.

    Args:
        found: The outputs by name, each with its batch.
        output: What it must be.

    Raises:
        ConversionError: None, or more than one.
    """
    fitting = [name for name, shape in found.items() if _has_width(shape, output.width)]
    names = {re.sub(r"\W", "_", name): name for name in fitting}
    named = names.get(re.sub(r"\W", "_", output.name))
    if named is None and len(fitting) == 1:
        return fitting[0]
    if named is None:
        have = ", ".join(f"{name} {_words(shape)}" for name, shape in found.items()) or "none of floats"
        raise ConversionError(
            f"the model's outputs are {have}, and the contract's output '{output.name}' has {output.width} values",
            remedy="name the one that is meant, and give it as many labels or quantities as it has values",
        )
    return named


def _has_width(shape: Sequence[int | None], width: int) -> bool:
    inner = [size for size in shape[1:] if size != 1]
    return inner in ([width], [None]) or (width == 1 and not inner)
