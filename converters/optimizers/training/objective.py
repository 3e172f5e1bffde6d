"""What training again aims at: the answers of the model that was brought.

A compact model is judged against the model that was brought, so it is taught that model's answers (Hinton, Vinyals and
Dean, Distilling the Knowledge in a Neural Network, 2015), and windows to train on need no truth. Truth in the targets
was tried: with a tenth of it 0.06 % fewer decisions were those of the source, with half of it 1 %, and rare classes
lost most, for the windows have another mix of classes than the source was trained with.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from edge_sdk.contracts import OutputContract
from edge_sdk.decisions import probabilities
from edge_sdk.tensors import FloatArray


def targets_for(output: OutputContract, answers: FloatArray) -> FloatArray:
    """Return what a model shall answer, float32 (n, width): its own outputs, but probabilities where those are logits.

    Args:
        output: What the answers mean.
        answers: What the source model answers, (n, width).
    """
    if output.quantities:
        return answers.astype(np.float32)
    taught = probabilities(answers, msgspec.structs.replace(output, bias=()))
    return taught[:, 1:] if output.has_one_value else taught


def loss_for(output: OutputContract, targets: FloatArray) -> Any:
    """Return the Keras loss that holds a model's outputs against `targets_for`: cross entropy, or squared error.

    Args:
        output: What the outputs mean.
        targets: (n, width); every quantity counts by its spread in them, whatever its unit.
    """
    import keras  # noqa: PLC0415  # heavy, and only this function needs it

    if output.quantities:
        spread = np.maximum(targets.std(axis=0), np.finfo(np.float32).eps)
        return lambda wanted, found: keras.ops.mean(keras.ops.square((wanted - found) / spread), axis=-1)
    if output.has_one_value:
        return keras.losses.BinaryCrossentropy(from_logits=output.activation == "sigmoid")
    return keras.losses.CategoricalCrossentropy(from_logits=output.activation == "softmax")
