"""scikit-learn's linear and logistic regression, with their scalers, from ``.skops`` files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.importers.keras import Origin, float_model
from converters.importers.scaling import with_steps
from converters.importers.sklearn_files import load_estimator
from converters.importers.sklearn_linear import Linear, check_alike, linear_of, predict_with, with_scaling
from converters.importers.sklearn_pipeline import CLASSIFIERS, Parts, kind, take_apart
from converters.importers.tensorflow import components
from converters.models import FloatModel
from edge_sdk.contracts import ModelContract, ModelInput, OutputContract
from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes, sha256_hex


def import_sklearn(path: Path, contract: ModelContract, workspace: Path) -> FloatModel:
    """Load an estimator that skops saved; only types of scikit-learn and numpy are made, and no code is run.

    Scalers at the beginning of a pipeline become steps of the contract's input; see `converters.importers.scaling`.

    Raises:
        ConversionError: A pickle, no such file, an estimator that is not supported, or one that the contract is not of.
        MissingDependency: scikit-learn or skops is not installed.
    """
    data = read_bytes(path, what="model")
    estimator, remarks = load_estimator(path)
    origin = Origin(name=path.name, sha256=sha256_hex(data), size_bytes=len(data))
    model = import_estimator(estimator, contract, workspace, origin)
    return replace(model, remarks=(*remarks, *model.remarks))


def import_estimator(estimator: Any, contract: ModelContract, workspace: Path, origin: Origin) -> FloatModel:
    """Return the stages' first type for an estimator in memory.

    Args:
        estimator: A fitted linear estimator, or a Pipeline that ends with one.
        contract: What it was trained to read and answer.
        workspace: A folder for what is made on the way.
        origin: The file it came from.

    Raises:
        ConversionError: It is not supported, not fitted, or not of the contract.
    """
    _check_fitted(estimator)
    parts = take_apart(estimator)
    wanted = _check_input(parts, contract)
    _check_output(parts.estimator, contract.output)
    linear = linear_of(parts, contract.output)
    check_alike(linear, estimator, parts)
    remarks = _remarks(parts, wanted)
    if wanted.takes == "waveform":  # one signal in one unit, whose samples no step can scale one by one
        linear, parts = with_scaling(linear, parts.steps), replace(parts, steps=())
    moved = with_steps(contract, wanted.name, parts.steps)
    return replace(
        float_model(_network(linear, moved, wanted), moved, workspace, origin),
        predict=predict_with(estimator, parts, contract.output, wanted.name),
        components=components("scikit-learn", "tensorflow", "numpy"),
        remarks=remarks,
    )


def _check_fitted(estimator: Any) -> None:
    from sklearn.exceptions import NotFittedError  # noqa: PLC0415
    from sklearn.utils.validation import check_is_fitted  # noqa: PLC0415

    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError) as error:
        raise ConversionError(
            f"the {kind(estimator)} is not a fitted estimator", remedy="fit it, then save it"
        ) from error


def _check_input(parts: Parts, contract: ModelContract) -> ModelInput:
    wanted, *others = contract.input.inputs
    count = len(parts.order)
    if others or math.prod(wanted.shape) != count:
        shapes = {item.name: item.shape for item in contract.input.inputs}
        raise ConversionError(
            f"the model takes one table of {count} columns, and the contract's inputs are {shapes}",
            remedy=f"give one input of {count} values",
        )
    if wanted.takes == "features" and parts.names and parts.names != wanted.features:
        raise ConversionError(
            f"the contract's features are {', '.join(wanted.features)}, and the model was trained on "
            f"{', '.join(parts.names)}",
            remedy="name them as the model does, in its order",
        )
    return wanted


def _check_output(estimator: Any, output: OutputContract) -> None:
    classifies = kind(estimator) in CLASSIFIERS
    if classifies != bool(output.labels):
        raise ConversionError(
            f"{kind(estimator)} gives {'labels' if classifies else 'quantities'}, and the contract's output has "
            f"{'labels' if output.labels else 'quantities'}",
            remedy="correct the contract's output",
        )
    if classifies:
        _check_labels(estimator.classes_.tolist(), [label.name for label in output.labels])
    elif len(np.atleast_2d(estimator.coef_)) != len(output.quantities):
        raise ConversionError(
            f"the model gives {len(np.atleast_2d(estimator.coef_))} quantities, and the contract names "
            f"{len(output.quantities)}",
            remedy="name each, in the order of the training targets",
        )


def _check_labels(classes: list[Any], labels: list[str]) -> None:
    named = all(isinstance(name, str) for name in classes)
    if len(classes) != len(labels) or (named and classes != labels):
        raise ConversionError(
            f"the model's classes are {', '.join(map(str, classes))}, and the contract's labels {', '.join(labels)}",
            remedy="give a label for each class, in the model's order",
        )


def _network(linear: Linear, contract: ModelContract, wanted: ModelInput) -> Any:
    import keras  # noqa: PLC0415  # heavy, and only this function needs it

    activation = {"probability": "sigmoid", "none": "softmax"}.get(contract.output.activation)
    layer = keras.layers.Dense(
        contract.output.width, activation=activation if contract.output.labels else None, name=contract.output.name
    )
    given = keras.Input(wanted.shape, name=wanted.name)
    network = keras.Model(given, layer(keras.layers.Flatten()(given) if len(wanted.shape) > 1 else given))
    layer.set_weights([linear.weights.astype(np.float32), linear.bias.astype(np.float32)])
    return network


def _remarks(parts: Parts, wanted: ModelInput) -> tuple[str, ...]:
    if wanted.takes == "waveform":
        return ("the model's columns are taken for a window's samples in time, channel by channel at each time",)
    found = []
    if parts.steps:
        found.append(
            "the scalers at the beginning of the pipeline are steps of the input, done in float before the model"
        )
    elif len(parts.order) > 1:
        found.append(
            "the pipeline begins with no scaler: an integer model has one scale for all columns, however different; "
            "put a StandardScaler in front"
        )
    if not parts.names:
        found.append(
            "the model was trained on columns without names: nobody can tell whether the contract has their order"
        )
    return tuple(found)
