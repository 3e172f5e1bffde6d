from __future__ import annotations

import numpy as np
import pytest

from converters.verification import MINIMUM_CLASS_WINDOWS, check_budget, compare, is_gated
from edge_sdk.codes import Code
from edge_sdk.contracts import Label, OutputContract
from edge_sdk.errors import VerificationError
from edge_sdk.manifest import VerificationReport

COMMON, RARE = 1000, MINIMUM_CLASS_WINDOWS - 1
OUTPUT = OutputContract(
    name="logits",
    code=Code("urn:test", "kind", "Kind"),
    labels=(Label(name="low", display="low"), Label(name="high", display="high")),
)


def report(*, lost: int, of: int, budget_points: float) -> VerificationReport:
    truth = np.array([0] * COMMON + [1] * of)
    before = np.eye(2, dtype=np.float32)[truth]
    after = before.copy()
    after[COMMON : COMMON + lost] = [1, 0]
    return compare(before, after, truth, OUTPUT, budget_points=budget_points)


def test_a_class_that_lost_more_than_the_budget_is_named_with_its_loss() -> None:
    with pytest.raises(VerificationError, match=r"class high lost 3\.00 points of sensitivity .*the budget is 2"):
        check_budget(report(lost=3, of=100, budget_points=2.0))


def test_a_loss_within_the_budget_passes() -> None:
    found = report(lost=2, of=100, budget_points=2.5)

    check_budget(found)

    assert found.classes[1].sensitivity_compiled == pytest.approx(0.98)
    assert found.agreement == pytest.approx(1 - 2 / (COMMON + 100))


def test_a_class_that_other_classes_leak_into_loses_predictivity() -> None:
    with pytest.raises(VerificationError, match=r"class low lost .* of positive predictivity"):
        check_budget(report(lost=RARE, of=RARE, budget_points=1.0))


def test_a_class_with_too_few_windows_is_not_judged() -> None:
    found = report(lost=1, of=RARE, budget_points=0.5)

    check_budget(found)

    assert [is_gated(figures) for figures in found.classes] == [True, False]
