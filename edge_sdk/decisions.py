"""From a model's output to a decision: one code for verification and the device."""

from __future__ import annotations

import numpy as np

from edge_sdk.contracts import OutputContract
from edge_sdk.tensors import FloatArray


def probabilities(outputs: FloatArray, contract: OutputContract) -> FloatArray:
    """Return probabilities, shape (…, labels), that sum to 1 along the last axis."""
    logits = outputs.astype(np.float32)
    if contract.activation == "none":
        logits = np.log(np.maximum(logits, np.float32(1e-6)))
    if contract.bias:
        logits = logits + np.asarray(contract.bias, np.float32)
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalized: FloatArray = shifted / shifted.sum(axis=-1, keepdims=True)
    return normalized
