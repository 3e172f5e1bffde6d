"""What every runtime does."""

from __future__ import annotations

from typing import Protocol

from edge_sdk.tensors import FloatArray


class Runtime(Protocol):
    """A loaded model.

    Attributes:
        name: The library that runs it.
        version: Its version.
    """

    name: str
    version: str

    def infer(self, inputs: dict[str, FloatArray]) -> FloatArray:
        """Return the real output values, shape (labels,), for one window's prepared inputs by name."""
