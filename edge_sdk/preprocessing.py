"""From a window to the model's input values: one code for training, calibration and the device."""

from __future__ import annotations

from functools import reduce

import numpy as np

from edge_sdk.contracts import Clip, InputContract, Scale, Standardize, Step
from edge_sdk.errors import SignalError
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import Window


def prepare(window: Window, contract: InputContract) -> dict[str, FloatArray]:
    """Return the real values of each model input, by name, each of its contract's shape.

    Raises:
        SignalError: The window does not have the shape the contract promises.
    """
    prepared = {}
    for wanted in contract.inputs:
        values = reduce(apply_step, wanted.steps, getattr(window, wanted.takes))
        if values.shape != wanted.shape:
            raise SignalError(
                f"input '{wanted.name}' is {values.shape} but the contract says {wanted.shape}",
                remedy="correct the window or the shape in the model's contract",
            )
        prepared[wanted.name] = values
    return prepared


def apply_step(values: FloatArray, step: Step) -> FloatArray:
    """Apply one declared step to float32 values of shape (time, channels) or (features,)."""
    if isinstance(step, Scale):
        result = values * np.float32(step.factor) + np.float32(step.offset)
    elif isinstance(step, Standardize):
        result = (values - np.asarray(step.mean, np.float32)) / np.asarray(step.std, np.float32)
    elif isinstance(step, Clip):
        result = np.clip(values, np.float32(step.low), np.float32(step.high))
    else:
        result = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), np.float32(step.floor))
    prepared: FloatArray = result.astype(np.float32)
    return prepared
