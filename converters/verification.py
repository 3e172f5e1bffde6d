"""Proving that the compiled model still works: float against compiled, on real held-out windows."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from converters.calibration import WindowSet
from converters.figures import Labels, compare, is_over, losses
from converters.layers import layer_figures
from converters.models import CompiledModel, VerifiedModel
from edge_sdk.errors import VerificationError
from edge_sdk.manifest import LayerFigures, VerificationReport
from edge_sdk.selftest import Array, Case, SelfTest
from edge_sdk.tensors import FloatArray

_SELF_TEST_CASES = 8
_SELF_TEST_STEPS = 2.0
_FLOAT_TOLERANCE = 1e-4
_ENGINE_MARGIN = 2.0
_WORST_LAYERS = 8
# What float32 arithmetic in another order may change, relative to the largest output.
PARITY = 1e-5
_WRONG = 1e-3


def check_parity(answers: FloatArray, expected: FloatArray, *, form: str) -> float:
    """Hold a float form of the model against the source framework, before anything is built on it.

    Converters can be wrong without an error: weights left out, a layout confused, a loop ended early.

    Args:
        answers: What the form answers for real windows, (n, width).
        expected: What the source framework answers for them.
        form: Its name, for messages.

    Returns:
        The largest difference of one output.

    Raises:
        VerificationError: They differ by more than arithmetic can.
    """
    error = float(np.abs(answers - expected).max())
    largest = max(1.0, float(np.abs(expected).max()))
    if not error <= _WRONG * largest:  # NaN fails too
        raise VerificationError(
            f"the {form} form of the model is not the model that was brought: an output differs by {error:.3g} "
            f"where the largest is {largest:.3g}",
            remedy="bring the model in another format, and tell us",
        )
    return error


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A compiled model held against the float one, not yet judged.

    Attributes:
        compiled: What was measured.
        answers: What it answers for the evaluation windows, (n, width).
        report: The figures.
        max_difference: Largest difference of one output from the source framework's.
    """

    compiled: CompiledModel
    answers: FloatArray
    report: VerificationReport
    max_difference: float


def measure(
    compiled: CompiledModel, evaluation: WindowSet, expected: FloatArray, *, budget_points: float, parity_error: float
) -> Measured:
    """Hold a compiled model against the float one.

    Args:
        compiled: What is to be proved.
        evaluation: Labelled windows that were not used for calibration.
        expected: What the source framework answers for them, (n, width).
        budget_points: Loss allowed in any figure, in percentage points.
        parity_error: What `check_parity` found.
    """
    answers, contract = compiled.predict(evaluation.inputs), compiled.source.contract.output
    report = compare(expected, answers, evaluation, contract, budget_points=budget_points)
    report = msgspec.structs.replace(report, layers=_worst_layers(compiled, evaluation), parity_error=parity_error)
    largest = float(np.abs(answers - expected).max())
    return Measured(compiled=compiled, answers=answers, report=report, max_difference=largest)


def verify(measured: Measured, evaluation: WindowSet) -> VerifiedModel:
    """Judge what was measured on these windows.

    Raises:
        VerificationError: A class, a quantity or a group lost more than the budget.
    """
    check_budget(measured.report)
    self_test = _self_test(measured, evaluation)
    return VerifiedModel(compiled=measured.compiled, report=measured.report, self_test=self_test)


def _worst_layers(compiled: CompiledModel, evaluation: WindowSet) -> tuple[LayerFigures, ...]:
    reference, compact = compiled.reference, compiled.host_flatbuffer
    if compact is None or compact == reference:
        return ()
    return layer_figures(reference, compact, evaluation.inputs)[:_WORST_LAYERS]


def check_budget(report: VerificationReport) -> None:
    """Return if every figure that has enough windows stayed within the budget, for all and in each group.

    Raises:
        VerificationError: One lost more; says which, how much, and of what.
    """
    allowed, remedy = report.budget_points, "use a recipe that keeps more precision"
    for points, windows, name, before, after in losses(report):
        if is_over(points, windows, allowed):
            raise VerificationError(
                f"{name} lost {points:.2f} points ({before:.2%} to {after:.2%}); the budget is {allowed}",
                remedy=f"calibrate on more varied windows, or {remedy}",
            )
    for group in report.groups:
        if is_over(group.lost_points, group.lost_windows, allowed):
            raise VerificationError(
                f"in the group {group.attribute} {group.value}, {group.lost} lost {group.lost_points:.2f} points "
                f"({group.windows} windows); the budget is {allowed}",
                remedy=f"calibrate on windows of that group too, or {remedy}",
            )


def _self_test(measured: Measured, evaluation: WindowSet) -> SelfTest:
    cases = tuple(
        Case(
            inputs={name: Array.of(values[index]) for name, values in evaluation.inputs.items()},
            expected=Array.of(measured.answers[index]),
        )
        for index in _spread(evaluation.labels, len(evaluation))
    )
    return SelfTest(cases=cases, tolerance=_tolerance(measured))


def _tolerance(measured: Measured) -> float:
    """Return how far a device's answers may be from ours: rounding, never another decision's worth."""
    artifact = measured.compiled.artifact
    (output,) = artifact.outputs
    rounding = _FLOAT_TOLERANCE * max(1.0, float(np.abs(measured.answers).max()))
    if artifact.backend == "tensorrt":
        # Its engine rounds in other places than onnxruntime does here; how much rounding costs at all, is measured.
        rounding = max(rounding, _ENGINE_MARGIN * measured.max_difference)
    return max(_SELF_TEST_STEPS * output.scale, rounding)


def _spread(labels: Labels | None, count: int) -> list[int]:
    """Choose windows in turn from every class, so that the self-test has seen each."""
    groups = [np.arange(count)] if labels is None else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = [int(group[turn]) for turn in range(_SELF_TEST_CASES) for group in groups if turn < len(group)]
    return turns[:_SELF_TEST_CASES]
