"""What every runtime is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
import numpy as np

from edge_sdk.tensors import FloatArray

Inputs = Mapping[str, FloatArray]


class Runtime(Protocol):
    """One loaded model, ready to run; for one thread at a time.

    Attributes:
        name: Which library runs it.
        version: That library's version.
    """

    name: str
    version: str

    def infer(self, inputs: Inputs) -> FloatArray:
        """Return the model's real output for one window: `infer_batch` of one.

        Args:
            inputs: Real values of each input by name, float32, without a batch axis.

        Returns:
            float32, the output's shape without its batch axis.
        """

    def infer_batch(self, inputs: Inputs) -> FloatArray:
        """Return the model's real outputs for many windows, to the bit what each would get alone.

        A window with a missing or infinite value is never shown to the model: its outputs are NaN.

        Args:
            inputs: Real values of each input by name, float32, windows first.

        Returns:
            float32, windows first, then the output's shape without its batch axis.
        """


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is run.

    Attributes:
        threads: For one inference.
        batch: Windows in one inference.
    """

    threads: int = 1
    batch: int = 1


def infer_one(run: Callable[[Inputs], FloatArray], inputs: Inputs) -> FloatArray:
    """Return the outputs of one window, given what runs many."""
    outputs: FloatArray = run({name: values[np.newaxis] for name, values in inputs.items()})[0]
    return outputs


def only_numbers(run: Callable[[Inputs], FloatArray], inputs: Inputs) -> FloatArray:
    """Return the outputs of many windows, NaN where one has a missing or infinite value, given what runs the others."""
    arrays = inputs.values()
    if all(np.isfinite(values).all() for values in arrays):
        return run(inputs)
    fit = np.logical_and.reduce([np.isfinite(values).reshape(len(values), -1).all(axis=1) for values in arrays])
    answered = run({name: values[fit] for name, values in inputs.items()})
    outputs: FloatArray = np.full((len(fit), *answered.shape[1:]), np.nan, np.float32)
    outputs[fit] = answered
    return outputs
