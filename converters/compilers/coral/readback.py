"""What the compiler really did, read from the file it wrote, and held against the forecast."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from converters.compilers.coral.forecast import COMPILED_OPERATOR, Forecast
from converters.compilers.coral.graph import Operator, read_graph
from edge_sdk.errors import ConversionError


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One operator: what was forecast of it, and where it is."""

    index: int
    graph: int
    name: str
    forecast: bool
    mapped: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A forecast and what came of it.

    Attributes:
        placements: Of every operator, in the forecast's order.
        regions: How many parts of the model run on the Edge TPU.
    """

    placements: tuple[Placement, ...]
    regions: int

    @property
    def surprises(self) -> tuple[Placement, ...]:
        """The operators that are not where they were forecast to be."""
        return tuple(placement for placement in self.placements if placement.forecast is not placement.mapped)

    @property
    def agreement(self) -> float:
        """Fraction of operators that are where they were forecast to be; 1 for a model without any."""
        return 1 - len(self.surprises) / len(self.placements) if self.placements else 1.0

    @property
    def mapped(self) -> int:
        """How many operators the Edge TPU runs."""
        return sum(placement.mapped for placement in self.placements)


def compare(source: bytes, compiled: bytes, forecast: Forecast) -> Comparison:
    """Hold a forecast against what the compiler made of the same model.

    Args:
        source: The model.
        compiled: What the compiler made of it.
        forecast: Of the model.

    Raises:
        ConversionError: The compiled file is damaged, or was made of another model.
    """
    operators = read_graph(source).operators
    left = read_graph(compiled).operators
    regions = sum(operator.name == COMPILED_OPERATOR for operator in left)
    on_cpu = _found_again(operators, [operator for operator in left if operator.name != COMPILED_OPERATOR])
    return Comparison(
        placements=tuple(
            Placement(
                index=judged.index,
                graph=judged.graph,
                name=judged.name,
                forecast=judged.mapped,
                mapped=regions > 0 and at not in on_cpu,
            )
            for at, judged in enumerate(forecast.operators)
        ),
        regions=regions,
    )


def _found_again(operators: Sequence[Operator], left: Sequence[Operator]) -> set[int]:
    """Return the places of the operators that the compiler left outside.

    The compiler keeps the names of tensors; it fills in sizes that a custom operator leaves open. Where names
    were changed afterwards, what an operator takes and gives tells it, in the order they run; at last its kind alone.
    """
    found: set[int] = set()
    missing = list(left)
    for key in (_by_name_and_form, _by_name, _by_form, _by_source, _by_kind):
        missing = _match(operators, missing, key, found)
    if missing:
        raise ConversionError(
            f"the compiled model has an operator that the model does not have ({missing[0].name})",
            remedy="compile again; what was written is not of this model",
        )
    return found


def _match(
    operators: Sequence[Operator], left: Sequence[Operator], key: Callable[[Operator], Hashable], found: set[int]
) -> list[Operator]:
    """Add the places of what is found to ``found``, and return what is not."""
    places: dict[Hashable, list[int]] = {}
    for at, operator in enumerate(operators):
        if at not in found:
            places.setdefault(key(operator), []).append(at)
    missing = []
    for operator in left:
        candidates = places.get(key(operator))
        if candidates:
            found.add(candidates.pop(0))
        else:
            missing.append(operator)
    return missing


def _by_name_and_form(operator: Operator) -> Hashable:
    return _by_name(operator), _by_form(operator)


def _by_name(operator: Operator) -> Hashable:
    return operator.name, tuple(tensor.name for tensor in operator.outputs)


def _by_form(operator: Operator) -> Hashable:
    return _by_source(operator), tuple((tensor.shape, tensor.dtype) for tensor in operator.outputs)


def _by_source(operator: Operator) -> Hashable:
    return operator.name, tuple((tensor.shape, tensor.dtype) for tensor in operator.inputs if tensor)


def _by_kind(operator: Operator) -> Hashable:
    return operator.name
