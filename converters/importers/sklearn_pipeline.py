"""A scikit-learn pipeline taken apart: scalers, moved columns, and the linear estimator at its end.

The attributes of scikit-learn's classes are those of its reference; nothing here needs it to be imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contracts import Clip, Standardize, Step
from edge_sdk.errors import ConversionError

REGRESSIONS = (
    "LinearRegression",
    "Ridge",
    "RidgeCV",
    "Lasso",
    "LassoCV",
    "ElasticNet",
    "ElasticNetCV",
    "HuberRegressor",
    "SGDRegressor",
)
CLASSIFIERS = ("LogisticRegression", "LogisticRegressionCV", "SGDClassifier")

Column = NDArray[np.float64]
Order = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a pipeline is made of.

    Attributes:
        steps: What it does to each column before anything else, in the order of the columns it is given.
        order: For each column that the estimator sees, which of the given ones it is.
        names: Of the given columns; empty if it was trained on a table without.
        estimator: The linear estimator.
    """

    steps: tuple[Step, ...]
    order: Order
    names: tuple[str, ...]
    estimator: Any


def take_apart(model: Any) -> Parts:
    """Return the parts of a fitted estimator, or of a pipeline that ends with one.

    Raises:
        ConversionError: It has a part that is not supported.
    """
    every = [part for _, part in model.steps] if kind(model) == "Pipeline" else [model]
    first, *_ = *before, estimator = [part for part in every if not _passes(part)]
    if kind(estimator) not in (*REGRESSIONS, *CLASSIFIERS):
        raise _unsupported(estimator)
    steps: list[Step] = []
    order: Order = np.arange(first.n_features_in_)
    for part in before:
        found, moved = _of_table(part) if kind(part) == "ColumnTransformer" else (_of_scaler(part), slice(None))
        steps += [_in_given_order(step, order) for step in found]
        order = order[moved]
    names = tuple(getattr(first, "feature_names_in_", ()))
    return Parts(steps=tuple(steps), order=order, names=names, estimator=estimator)


def kind(part: Any) -> str:
    """Return the name of an estimator's class."""
    return type(part).__name__


def _standard(scaler: Any) -> tuple[Column | None, Column | None]:
    return scaler.mean_ if scaler.with_mean else None, scaler.scale_


def _robust(scaler: Any) -> tuple[Column | None, Column | None]:
    return scaler.center_, scaler.scale_


def _largest(scaler: Any) -> tuple[Column | None, Column | None]:
    return None, scaler.scale_


def _range(scaler: Any) -> tuple[Column | None, Column | None]:
    return -scaler.min_ / scaler.scale_, 1 / scaler.scale_


_SCALERS: dict[str, Callable[[Any], tuple[Column | None, Column | None]]] = {
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MaxAbsScaler": _largest,
    "MinMaxScaler": _range,
}


def _of_scaler(scaler: Any, *, may_clip: bool = True) -> tuple[Any, ...]:
    if kind(scaler) not in _SCALERS:
        raise _unsupported(scaler)
    mean, std = _SCALERS[kind(scaler)](scaler)
    none = np.zeros(scaler.n_features_in_)
    step = _standardize(none if mean is None else mean, none + 1 if std is None else std)
    if not getattr(scaler, "clip", False):
        return (step,)
    if not may_clip:
        raise ConversionError(
            f"{kind(scaler)} clips some of the columns", remedy="clip all of them, in the pipeline itself, or none"
        )
    low, high = getattr(scaler, "feature_range", (-1.0, 1.0))
    return step, Clip(low=float(low), high=float(high))


def _of_table(table: Any) -> tuple[tuple[Step, ...], Order]:
    """Return what a table's transformers do to its columns, and the order in which it gives them on."""
    mean, std = np.zeros(table.n_features_in_), np.ones(table.n_features_in_)
    order: list[int] = []
    for name, part, _ in table.transformers_:
        columns = list(table._transformer_to_input_indices[name])  # noqa: SLF001  # names, masks and slices resolved
        if kind(part) == "str" and part == "drop" and columns:
            raise ConversionError(
                f"the pipeline drops columns {columns} of its table",
                remedy="train it without them: a device need not be asked for what a model does not use",
            )
        order += columns
        if columns and not _passes(part):
            (step,) = _of_scaler(part, may_clip=False)
            mean[columns], std[columns] = step.mean, step.std
    if len(set(order)) != len(order):
        raise ConversionError("the pipeline uses a column twice", remedy="name each column in one transformer only")
    return (_standardize(mean, std),), np.array(order, np.int64)


def _passes(part: Any) -> bool:
    # A fitted table has a function that does nothing where the word was.
    return part is None or part == "passthrough" or (kind(part) == "FunctionTransformer" and part.func is None)


def _standardize(mean: Column, std: Column) -> Standardize:
    return Standardize(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _in_given_order(step: Step, order: Order) -> Step:
    if not isinstance(step, Standardize):
        return step
    given = np.argsort(order)
    return _standardize(np.array(step.mean)[given], np.array(step.std)[given])


def _unsupported(part: Any) -> ConversionError:
    supported = ", ".join((*REGRESSIONS, *CLASSIFIERS))
    return ConversionError(
        f"{kind(part)} is not supported",
        remedy=f"use {supported}, alone or at the end of a Pipeline after {', '.join(_SCALERS)} or a ColumnTransformer "
        f"of them; anything else: do it before, or convert it to ONNX with skl2onnx",
    )
