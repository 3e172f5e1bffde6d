"""Probabilities that mean what they say: the temperature, fitted on held-out windows with their truth.

One number that divides every logit changes no decision, and is enough to make most networks as sure as they are right:
C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
from numpy.typing import NDArray

from converters.calibration import WindowSet
from converters.models import FloatModel
from edge_sdk.contracts import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE, OutputContract
from edge_sdk.decisions import probabilities
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

_HALVINGS = 50
_LEAST_LIKELY = 1e-37  # float32 has none below that is not rounded

Labels = NDArray[np.int64]


def with_temperature(source: FloatModel, held_out: WindowSet) -> FloatModel:
    """Return a model whose contract has the temperature that fits it on these windows.

    Raises:
        ConversionError: It has no probabilities, or the windows cannot say how sure it may be.
    """
    answers = source.contract.output
    if not answers.labels or held_out.labels is None:
        raise ConversionError(
            "the model estimates quantities, which have no probabilities", remedy="leave --probabilities out"
        )
    temperature = round(fit_temperature(source.predict(held_out.inputs), held_out.labels, answers), 4)
    output = msgspec.structs.replace(answers, temperature=temperature)
    contract = msgspec.structs.replace(source.contract, output=output)
    remark = f"probabilities have the temperature {temperature:g}, fitted on {len(held_out)} windows"
    return dataclasses.replace(source, contract=contract, remarks=(*source.remarks, remark))


def fit_temperature(outputs: FloatArray, labels: Labels, contract: OutputContract) -> float:
    """Return the temperature at which the true labels are likeliest.

    Args:
        outputs: What the model answers, (n, width).
        labels: The truth, (n,).
        contract: What the answers mean; its own temperature is not heeded.

    Raises:
        ConversionError: The likeliest is beyond what any honest windows give.
    """
    chances = probabilities(outputs, msgspec.structs.replace(contract, temperature=1.0)).astype(np.float64)
    logits = np.log(np.maximum(chances, _LEAST_LIKELY))
    cold, hot = np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)
    if _too_sure(logits, labels, np.exp(hot)) or not _too_sure(logits, labels, np.exp(cold)):
        raise ConversionError(
            f"no temperature from {LOWEST_TEMPERATURE} to {HIGHEST_TEMPERATURE} fits the windows in --probabilities",
            remedy="give windows, with their true labels, of patients whom the model was not trained on",
        )
    for _ in range(_HALVINGS):
        middle = (cold + hot) / 2
        cold, hot = (middle, hot) if _too_sure(logits, labels, np.exp(middle)) else (cold, middle)
    return float(np.exp(hot))


def _too_sure(logits: NDArray[np.float64], labels: Labels, temperature: float) -> bool:
    """Return whether a higher temperature makes the labels likelier: the likelihood has one summit in ``1 / T``."""
    scaled = logits / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
    return bool((expected - logits[np.arange(len(labels)), labels]).mean() > 0)
