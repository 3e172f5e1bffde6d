"""Moving a model's first step, when it only scales each column, in front of the model.

There it runs in float on the device. Inside the model it would be quantized, and eight bits of one scale are too few
for columns as different as age and cholesterol.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_sdk.contracts import ModelContract, Standardize, Step
from edge_sdk.tensors import FloatArray


def with_steps(contract: ModelContract, name: str, steps: Sequence[Step]) -> ModelContract:
    """Return a contract in which one input has more preprocessing, after what it has.

    Args:
        contract: What the model was brought with.
        name: The input.
        steps: What the model did first.
    """
    inputs = tuple(
        msgspec.structs.replace(wanted, steps=(*wanted.steps, *steps)) if wanted.name == name else wanted
        for wanted in contract.input.inputs
    )
    return msgspec.structs.replace(contract, input=msgspec.structs.replace(contract.input, inputs=inputs))


def without_steps(prepared: FloatArray, steps: Sequence[Step]) -> NDArray[np.float64]:
    """Return what the model was given before the steps were moved, shape (n, columns).

    With it the source framework runs the whole model, its own scaler included. What a clip cut off stays cut off: the
    source's clip leaves it as it is.
    """
    values = prepared.astype(np.float64)
    for step in reversed(steps):
        if isinstance(step, Standardize):
            values = values * np.asarray(step.std) + np.asarray(step.mean)
    return values
