"""Proving that the compiled model still works: float against compiled, on real held-out windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.calibration import WindowSet
from converters.models import CompiledModel, VerifiedModel
from edge_sdk.contracts import OutputContract
from edge_sdk.decisions import probabilities
from edge_sdk.errors import VerificationError
from edge_sdk.manifest import ClassFigures, VerificationReport
from edge_sdk.selftest import Array, Case, SelfTest
from edge_sdk.tensors import FloatArray

# One window more or less is 5 points at this count: below it a class's figure is chance and gates nothing.
MINIMUM_CLASS_WINDOWS = 20
_SELF_TEST_CASES = 8
_SELF_TEST_STEPS = 2.0
_FLOAT_TOLERANCE = 1e-4

Labels = NDArray[np.int64]


def verify(compiled: CompiledModel, evaluation: WindowSet, *, budget_points: float) -> VerifiedModel:
    """Hold the compiled model against the float one.

    Args:
        compiled: What is to be proved.
        evaluation: Labelled windows that were not used for calibration.
        budget_points: Loss allowed in any class's sensitivity or positive predictivity, in percentage points.

    Raises:
        VerificationError: A class lost more.
    """
    contract = compiled.source.contract.output
    answers = compiled.predict(evaluation.inputs)
    report = compare(
        probabilities(compiled.source.predict(evaluation.inputs), contract),
        probabilities(answers, contract),
        evaluation.labels,
        contract,
        budget_points=budget_points,
    )
    check_budget(report)
    return VerifiedModel(compiled=compiled, report=report, self_test=_self_test(compiled, evaluation, answers))


def compare(
    source: FloatArray, compiled: FloatArray, labels: Labels | None, contract: OutputContract, *, budget_points: float
) -> VerificationReport:
    """Return the figures for two sets of probabilities, each (n, labels), and the true classes (n,)."""
    first, second = source.argmax(axis=1), compiled.argmax(axis=1)
    truth = labels if labels is not None else first
    return VerificationReport(
        windows=len(source),
        agreement=float((first == second).mean()),
        accuracy_float=float((first == truth).mean()),
        accuracy_compiled=float((second == truth).mean()),
        max_probability_error=float(np.abs(source - compiled).max()),
        budget_points=budget_points,
        classes=tuple(
            ClassFigures(
                label=label.name,
                windows=int((truth == index).sum()),
                sensitivity_float=_share(first == index, truth == index),
                sensitivity_compiled=_share(second == index, truth == index),
                ppv_float=_share(truth == index, first == index),
                ppv_compiled=_share(truth == index, second == index),
            )
            for index, label in enumerate(contract.labels)
        ),
    )


def is_gated(figures: ClassFigures) -> bool:
    """Return whether a class has enough windows for the budget to judge it."""
    return figures.windows >= MINIMUM_CLASS_WINDOWS


def _share(hits: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return float(hits[of].mean()) if of.any() else 0.0


def check_budget(report: VerificationReport) -> None:
    """Return if every class that has enough windows stayed within the budget.

    Raises:
        VerificationError: One lost more; says which, how much, and of what.
    """
    for figures in report.classes:
        if not is_gated(figures):
            continue
        for what, before, after in (
            ("sensitivity", figures.sensitivity_float, figures.sensitivity_compiled),
            ("positive predictivity", figures.ppv_float, figures.ppv_compiled),
        ):
            lost_points = 100 * (before - after)
            if lost_points > report.budget_points:
                raise VerificationError(
                    f"class {figures.label} lost {lost_points:.2f} points of {what} "
                    f"({before:.2%} to {after:.2%}); the budget is {report.budget_points}",
                    remedy="calibrate on more varied windows, or use a recipe that keeps more precision",
                )


def _self_test(compiled: CompiledModel, evaluation: WindowSet, answers: FloatArray) -> SelfTest:
    chosen = _spread(evaluation.labels, len(evaluation))
    cases = tuple(
        Case(
            inputs={name: Array.of(values[index]) for name, values in evaluation.inputs.items()},
            expected=Array.of(answers[index]),
        )
        for index in chosen
    )
    (output,) = compiled.artifact.outputs
    return SelfTest(cases=cases, tolerance=max(_SELF_TEST_STEPS * output.scale, _FLOAT_TOLERANCE))


def _spread(labels: Labels | None, count: int) -> list[int]:
    """Choose windows in turn from every class, so that the self-test has seen each."""
    groups = [np.arange(count)] if labels is None else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = [int(group[turn]) for turn in range(_SELF_TEST_CASES) for group in groups if turn < len(group)]
    return turns[:_SELF_TEST_CASES]
