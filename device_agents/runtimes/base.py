"""What every runtime is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edge_sdk.tensors import FloatArray


class Runtime(Protocol):
    """One loaded model, ready to run.

    Attributes:
        name: Which library runs it.
        version: That library's version.
    """

    name: str
    version: str

    def infer(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the model's real output for one window.

        Args:
            inputs: Real values of each input by name, float32, without a batch axis.

        Returns:
            float32, the output's shape without its batch axis.
        """

    def infer_batch(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the model's real outputs for many windows, the same as `infer` gives for each.

        Args:
            inputs: Real values of each input by name, float32, windows first.

        Returns:
            float32, windows first, then the output's shape without its batch axis.
        """
