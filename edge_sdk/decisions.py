"""From a model's output to a decision: one code for verification and the device."""

from __future__ import annotations

import numpy as np

from edge_sdk.contracts import OutputContract
from edge_sdk.tensors import FloatArray

_SMALLEST = np.float32(1e-6)


def probabilities(outputs: FloatArray, contract: OutputContract) -> FloatArray:
    """Return probabilities, shape (…, labels), that sum to 1 along the last axis, from outputs of (…, width)."""
    logits = outputs.astype(np.float32)
    if contract.activation == "sigmoid":
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    elif contract.activation == "probability":
        logits = np.log(np.maximum(np.concatenate([1 - logits, logits], axis=-1), _SMALLEST))
    elif contract.activation == "none":
        logits = np.log(np.maximum(logits, _SMALLEST))
    if contract.bias:
        logits = logits + np.asarray(contract.bias, np.float32)
    if contract.temperature != 1:
        logits = logits / np.float32(contract.temperature)
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalized: FloatArray = shifted / shifted.sum(axis=-1, keepdims=True)
    return normalized


def quantities(outputs: FloatArray, contract: OutputContract) -> FloatArray:
    """Return the quantities in their units, float32 of shape (…, quantities)."""
    factors = np.array([quantity.factor for quantity in contract.quantities], np.float32)
    offsets = np.array([quantity.offset for quantity in contract.quantities], np.float32)
    values: FloatArray = (outputs * factors + offsets).astype(np.float32)
    return values


def answer(outputs: FloatArray, contract: OutputContract) -> FloatArray:
    """Return what the outputs mean: `probabilities` of labels, or `quantities`."""
    return probabilities(outputs, contract) if contract.labels else quantities(outputs, contract)
