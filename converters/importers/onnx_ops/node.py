"""One node of an ONNX graph, as the functions that translate it see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from converters.importers.onnx_ops.values import Value
from edge_sdk.errors import ConversionError

Outputs = Union[Value, tuple[Value, ...]]
_FIRST_DEFAULT = 13  # opset from which Softmax works on one axis, the last unless it says otherwise


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node.

    Attributes:
        operator: Its type, e.g. ``Conv``.
        name: What the graph calls it.
        opset: Version of the operators, for those that changed their meaning.
        inputs: In order; ``None`` for one that is left out.
        attributes: In Python's types.
        wanted: For each output, whether anything takes it.
        unroll: Whether recurrent operators are written out step by step.
    """

    operator: str
    name: str
    opset: int
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    wanted: tuple[bool, ...] = (True,)
    unroll: bool = False

    def has(self, index: int) -> bool:
        """Return whether an input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int = 0) -> Value:
        """Return an input.

        Raises:
            ConversionError: It is left out.
        """
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise self.refuse(f"its input {index} is missing")
        return found

    def constant(self, index: int) -> Any:
        """Return an input that must be known without running the model.

        Raises:
            ConversionError: It is computed from the model's inputs.
        """
        value = self.value(index)
        if not value.is_constant:
            raise self.refuse(f"its input {index} must be a constant and is computed")
        return value.tensor

    def option(self, name: str, index: int | None, default: Any = None) -> Any:
        """Return what older opsets have as an attribute and newer ones as a constant input, as Python's types."""
        if name in self.attributes:
            return self.attributes[name]
        return np.asarray(self.constant(index)).tolist() if index is not None and self.has(index) else default

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute, or what it is when it is not given."""
        return self.attributes.get(name, default)

    def require(self, name: str, default: Any, *allowed: Any) -> None:
        """Refuse a node whose attribute is none of those that are translated.

        Raises:
            ConversionError: It is another.
        """
        given = self.attribute(name, default)
        if given not in (default, *allowed):
            raise self.refuse(f"its {name} is {given}")

    @property
    def flattens(self) -> bool:
        """Whether the operators are so old that Softmax works on all axes from the given one on."""
        return self.opset < _FIRST_DEFAULT

    def refuse(self, why: str) -> ConversionError:
        """Return the error that says why this node cannot be translated."""
        return ConversionError(
            f"operator {self.operator} of node '{self.name}' has no LiteRT form here: {why}",
            remedy="export the model without it, or bring it as Keras, PyTorch or TensorFlow",
        )


Translate = Callable[[Node], Outputs]
