"""From windows to the model's input values: one code for training, calibration and the device."""

from __future__ import annotations

from functools import reduce

import numpy as np

from edge_sdk.contracts import Clip, InputContract, ModelInput, Scale, Standardize, Step
from edge_sdk.errors import SignalError
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import Window


def prepare(window: Window, contract: InputContract) -> dict[str, FloatArray]:
    """Return the real values of each model input, by name, each of its contract's shape.

    Raises:
        SignalError: The window does not have the shape the contract promises.
    """
    one = {wanted.name: getattr(window, wanted.takes)[np.newaxis] for wanted in contract.inputs}
    return {name: values[0] for name, values in prepare_batch(one, contract).items()}


def prepare_batch(parts: dict[str, FloatArray], contract: InputContract) -> dict[str, FloatArray]:
    """Return the real values of each model input for many windows at once, the same bits as one at a time.

    Args:
        parts: What each input takes of the windows, by the input's name: float32, shape (windows, time, channels) or
            (windows, features).
        contract: What the model reads.

    Raises:
        SignalError: The windows do not have the shape the contract promises.
    """
    return {wanted.name: _prepared(parts[wanted.name], wanted) for wanted in contract.inputs}


def _prepared(values: FloatArray, wanted: ModelInput) -> FloatArray:
    prepared: FloatArray = reduce(apply_step, wanted.steps, values)
    if prepared.shape[1:] != wanted.shape:
        raise SignalError(
            f"input '{wanted.name}' is {prepared.shape[1:]} but the contract says {wanted.shape}",
            remedy="correct the window or the shape in the model's contract",
        )
    return prepared


def apply_step(values: FloatArray, step: Step) -> FloatArray:
    """Apply one declared step to float32 values of shape (windows, time, channels) or (windows, features)."""
    if isinstance(step, Scale):
        result = values * np.float32(step.factor) + np.float32(step.offset)
    elif isinstance(step, Standardize):
        result = (values - np.asarray(step.mean, np.float32)) / np.asarray(step.std, np.float32)
    elif isinstance(step, Clip):
        result = np.clip(values, np.float32(step.low), np.float32(step.high))
    else:
        # Time last and in one piece: only then are sums the same bits whatever the number of windows.
        along = np.ascontiguousarray(np.moveaxis(values, 1, -1))
        spread = np.maximum(along.std(axis=-1, keepdims=True), np.float32(step.floor))
        result = np.moveaxis((along - along.mean(axis=-1, keepdims=True)) / spread, -1, 1)
    prepared: FloatArray = result.astype(np.float32, copy=False)
    return prepared
