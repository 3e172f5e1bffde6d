"""The figures of a verification, as pure functions: two models' answers and the truth in, figures out."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from converters.calibration import WindowSet
from edge_sdk.contracts import OutputContract
from edge_sdk.decisions import answer
from edge_sdk.manifest import ClassFigures, GroupFigures, QuantityFigures, VerificationReport
from edge_sdk.tensors import FloatArray

# Below this a class's or a group's figure is chance and gates nothing.
MINIMUM_WINDOWS = 20
# One window may always change; it is the resolution of any figure.
_MORE_THAN_ONE_WINDOW = 1.5
_CONFIDENCE_BINS = 15  # as in Guo et al., On Calibration of Modern Neural Networks, 2017
_ALIKE_SPREADS = 0.05

Labels = NDArray[np.int64]
Loss = tuple[float, float, str, float, float]


def compare(
    source: FloatArray, compiled: FloatArray, evaluation: WindowSet, contract: OutputContract, *, budget_points: float
) -> VerificationReport:
    """Return the figures for two models' outputs, each (n, width), and the windows' truth."""
    before, after = answer(source, contract), answer(compiled, contract)
    if contract.labels:
        report = _classified(before, after, evaluation, contract, budget_points=budget_points)
        return _with_unscaled(report, compiled, evaluation, contract)
    return _estimated(before, after, evaluation, contract, budget_points=budget_points)


def losses(report: VerificationReport) -> Iterator[Loss]:
    """Yield what each figure lost that has windows enough to judge: points, windows, its name, before, after."""
    for figures in report.classes:
        if is_judged(figures.windows):
            yield from class_losses(figures)
    for quantity in report.quantities:
        before, after = quantity.r_squared_float, quantity.r_squared_compiled
        yield 100 * (before - after), float(quantity.windows), f"R² of {quantity.name}", before, after


def class_losses(figures: ClassFigures) -> Iterator[Loss]:
    """Yield what one class lost: points, windows, the figure's name, before, after."""
    for what, before, after in (
        ("sensitivity", figures.sensitivity_float, figures.sensitivity_compiled),
        ("positive predictivity", figures.ppv_float, figures.ppv_compiled),
    ):
        yield (
            100 * (before - after),
            (before - after) * figures.windows,
            f"the {what} of class {figures.label}",
            before,
            after,
        )


def is_judged(windows: int) -> bool:
    """Return whether a class or group has enough windows for the budget to judge it."""
    return windows >= MINIMUM_WINDOWS


def is_over(points: float, windows: float, budget_points: float) -> bool:
    """Return whether a loss is beyond the budget, and more than one window's chance."""
    return points > budget_points and windows >= _MORE_THAN_ONE_WINDOW


def _classified(
    before: FloatArray, after: FloatArray, evaluation: WindowSet, contract: OutputContract, *, budget_points: float
) -> VerificationReport:
    first, second = before.argmax(axis=1), after.argmax(axis=1)
    truth = first if evaluation.labels is None else evaluation.labels
    names = [label.name for label in contract.labels]
    return VerificationReport(
        windows=len(before),
        agreement=float((first == second).mean()),
        accuracy_float=float((first == truth).mean()),
        accuracy_compiled=float((second == truth).mean()),
        max_probability_error=float(np.abs(before - after).max()),
        budget_points=budget_points,
        classes=_classes(first, second, truth, names),
        groups=tuple(
            _group(attribute, value, _classes(first[of], second[of], truth[of], names), first[of] == second[of])
            for attribute, value, of in _each_group(evaluation)
        ),
        calibration_error_float=calibration_error(before, truth),
        calibration_error_compiled=calibration_error(after, truth),
    )


def _with_unscaled(
    report: VerificationReport, compiled: FloatArray, evaluation: WindowSet, contract: OutputContract
) -> VerificationReport:
    if contract.temperature == 1 or evaluation.labels is None:
        return report
    unscaled = answer(compiled, msgspec.structs.replace(contract, temperature=1.0))
    error = calibration_error(unscaled, evaluation.labels)
    return msgspec.structs.replace(report, calibration_error_unscaled=error)


def _classes(first: Labels, second: Labels, truth: Labels, names: list[str]) -> tuple[ClassFigures, ...]:
    return tuple(
        ClassFigures(
            label=name,
            windows=int((truth == index).sum()),
            sensitivity_float=_share(first == index, truth == index),
            sensitivity_compiled=_share(second == index, truth == index),
            ppv_float=_share(truth == index, first == index),
            ppv_compiled=_share(truth == index, second == index),
        )
        for index, name in enumerate(names)
    )


def _share(hits: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return float(hits[of].mean()) if of.any() else 0.0


def _group(attribute: str, value: str, classes: tuple[ClassFigures, ...], alike: NDArray[np.bool_]) -> GroupFigures:
    judged = [loss for figures in classes if is_judged(figures.windows) for loss in class_losses(figures)]
    return _group_figures(attribute, value, judged, alike)


def _group_figures(attribute: str, value: str, judged: list[Loss], alike: NDArray[np.bool_]) -> GroupFigures:
    # A loss of one window is chance, however large it is in points: it comes after every other.
    worst = max(judged, key=lambda loss: (loss[1] >= _MORE_THAN_ONE_WINDOW, loss[0]), default=None)
    return GroupFigures(
        attribute=attribute,
        value=value,
        windows=len(alike),
        agreement=float(alike.mean()),
        lost_points=worst[0] if worst else 0.0,
        lost_windows=worst[1] if worst else 0.0,
        lost=worst[2] if worst else "",
    )


def _each_group(evaluation: WindowSet) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for attribute, values in evaluation.groups.items():
        for value in np.unique(values):
            yield attribute, str(value), values == value


def calibration_error(probabilities: FloatArray, truth: Labels) -> float:
    """Return the expected calibration error: how far the confidence is from the share that is right, on average."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * _CONFIDENCE_BINS).astype(np.int64), _CONFIDENCE_BINS - 1)
    gaps = [
        abs(float(confidence[bins == index].mean()) - float(right[bins == index].mean()))
        * float((bins == index).mean())
        for index in np.unique(bins)
    ]
    return float(sum(gaps))


def _estimated(
    before: FloatArray, after: FloatArray, evaluation: WindowSet, contract: OutputContract, *, budget_points: float
) -> VerificationReport:
    truth = before if evaluation.targets is None else evaluation.targets
    names = [(quantity.name, quantity.unit) for quantity in contract.quantities]
    alike = (np.abs(after - before) <= _ALIKE_SPREADS * before.std(axis=0)).all(axis=1)
    return VerificationReport(
        windows=len(before),
        agreement=float(alike.mean()),
        accuracy_float=-1.0,
        accuracy_compiled=-1.0,
        max_probability_error=0.0,
        budget_points=budget_points,
        quantities=_quantities(before, after, truth, names),
        groups=tuple(
            _estimated_group(attribute, value, _quantities(before[of], after[of], truth[of], names), alike[of])
            for attribute, value, of in _each_group(evaluation)
        ),
    )


def _estimated_group(
    attribute: str, value: str, quantities: tuple[QuantityFigures, ...], alike: NDArray[np.bool_]
) -> GroupFigures:
    judged = [
        (
            100 * (found.r_squared_float - found.r_squared_compiled),
            float(found.windows),
            f"R² of {found.name}",
            0.0,
            0.0,
        )
        for found in quantities
        if is_judged(found.windows)
    ]
    return _group_figures(attribute, value, judged, alike)


def _quantities(
    before: FloatArray, after: FloatArray, truth: FloatArray, names: list[tuple[str, str]]
) -> tuple[QuantityFigures, ...]:
    return tuple(
        _quantity(before[:, column], after[:, column], truth[:, column], name=name, unit=unit)
        for column, (name, unit) in enumerate(names)
    )


def _quantity(before: FloatArray, after: FloatArray, truth: FloatArray, *, name: str, unit: str) -> QuantityFigures:
    # In double precision: sums of squares of thousands of windows.
    first, second = (estimate.astype(np.float64) - truth for estimate in (before, after))
    variance = float(truth.astype(np.float64).var())
    return QuantityFigures(
        name=name,
        unit=unit,
        windows=len(truth),
        mean_error_float=float(first.mean()),
        mean_error_compiled=float(second.mean()),
        mean_absolute_error_float=float(np.abs(first).mean()),
        mean_absolute_error_compiled=float(np.abs(second).mean()),
        error_deviation_float=float(first.std()),
        error_deviation_compiled=float(second.std()),
        r_squared_float=_explained(first, variance),
        r_squared_compiled=_explained(second, variance),
        max_difference=float(np.abs(after - before).max()),
    )


def _explained(errors: NDArray[np.float64], variance: float) -> float:
    return 1.0 - float((errors**2).mean()) / variance if variance else 0.0
