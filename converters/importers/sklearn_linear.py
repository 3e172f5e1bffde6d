"""What a linear estimator of scikit-learn computes: its weights, its own answers, and that they say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.importers.scaling import without_steps
from converters.importers.sklearn_pipeline import CLASSIFIERS, Parts, kind
from converters.importers.tensorflow import first_line
from converters.models import Predict
from edge_sdk.contracts import OutputContract, Standardize, Step
from edge_sdk.errors import ConversionError
from edge_sdk.preprocessing import apply_step
from edge_sdk.tensors import FloatArray

_PROBES = 64
_ALIKE = 1e-5

Table = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Linear:
    """``columns @ weights + bias``, columns in the contract's order, scaled.

    Attributes:
        weights: (columns, width).
        bias: (width,).
    """

    weights: Table
    bias: Table


def linear_of(parts: Parts, output: OutputContract) -> Linear:
    """Return the weights of a pipeline's estimator: a logit for each label, or one for two; or a quantity each."""
    coefficients = np.atleast_2d(parts.estimator.coef_)
    weights = np.empty_like(coefficients, dtype=np.float64)
    weights[:, parts.order] = coefficients
    bias = np.zeros(len(weights)) + parts.estimator.intercept_
    if len(weights) < output.width:  # one logit, where each of two labels has one
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.array([0.0, *bias])
    return Linear(weights=weights.T, bias=bias)


def with_scaling(linear: Linear, steps: Sequence[Step]) -> Linear:
    """Return the weights for columns that are not scaled yet.

    Raises:
        ConversionError: A step clips, which no weights do.
    """
    weights, bias = linear.weights, linear.bias
    for step in reversed(steps):
        if not isinstance(step, Standardize):
            raise ConversionError(
                "the pipeline clips samples of a waveform one by one", remedy="clip in the contract's steps"
            )
        weights = weights / np.array(step.std)[:, np.newaxis]
        bias = bias - np.array(step.mean) @ weights
    return Linear(weights=weights, bias=bias)


def predict_with(estimator: Any, parts: Parts, output: OutputContract, name: str) -> Predict:
    """Return what asks the whole estimator, its own scalers included, in the form that the contract's output has."""
    ask = _question(estimator, output)

    def predict(inputs: dict[str, FloatArray]) -> FloatArray:
        table = _as_trained(parts, without_steps(inputs[name].reshape(-1, len(parts.order)), parts.steps))
        answers: FloatArray = np.asarray(ask(table), np.float32).reshape(len(table), output.width)
        return answers

    return predict


def check_alike(linear: Linear, estimator: Any, parts: Parts) -> None:
    """Return if the weights give the estimator's own answers: not every classifier's chances come from its logits.

    Raises:
        ConversionError: They do not, or it gives none.
    """
    drawn = np.random.default_rng(0).normal(size=(_PROBES, len(parts.order))).astype(np.float32)
    given = without_steps(drawn, parts.steps)
    values = reduce(apply_step, parts.steps, given.astype(np.float32)) @ linear.weights + linear.bias
    table = _as_trained(parts, given)
    try:
        if kind(parts.estimator) in CLASSIFIERS:
            found, own = _chances(values), estimator.predict_proba(table)
        else:
            found, own = values, estimator.predict(table)
    except Exception as error:  # scikit-learn raises many kinds, and a loss without chances an AttributeError
        raise ConversionError(
            f"the {kind(parts.estimator)} does not answer ({first_line(error)})",
            remedy="train it with this version of scikit-learn, for chances (SGDClassifier: loss='log_loss')",
        ) from error
    error_found = np.abs(found - np.reshape(own, found.shape)).max() / max(1.0, np.abs(own).max())
    if not error_found <= _ALIKE:
        raise ConversionError(
            f"the {kind(parts.estimator)}'s answers are not those of its weights (they differ by {error_found:.3g})",
            remedy="with more than two classes, use LogisticRegression with a solver that is not liblinear",
        )


def _question(estimator: Any, output: OutputContract) -> Callable[[Any], Any]:
    if output.quantities:
        return estimator.predict  # type: ignore[no-any-return]  # scikit-learn has no types
    if output.activation == "none":
        return estimator.predict_proba  # type: ignore[no-any-return]
    if output.activation == "probability":
        return lambda table: estimator.predict_proba(table)[:, 1:]
    if output.activation == "sigmoid":
        return estimator.decision_function  # type: ignore[no-any-return]
    return lambda table: _logits(estimator.decision_function(table))


def _logits(values: Table) -> Table:
    return values if values.ndim > 1 else np.stack([np.zeros_like(values), values], axis=1)


def _chances(values: Table) -> Table:
    logits = _logits(values[:, 0]) if values.shape[1] == 1 else values
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: Table = powers / powers.sum(axis=1, keepdims=True)
    return chances


def _as_trained(parts: Parts, table: Table) -> Any:
    """Return a table with the names of the columns that the estimator was trained on, if they had any."""
    if not parts.names:
        return table
    import pandas as pd  # noqa: PLC0415  # whoever trained on named columns has it, and nobody else needs it

    return pd.DataFrame(table, columns=list(parts.names))
