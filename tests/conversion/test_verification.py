from __future__ import annotations

import numpy as np
import pytest

from converters.calibration import WindowSet
from converters.figures import MINIMUM_WINDOWS, calibration_error, compare, is_judged
from converters.verification import check_budget
from edge_sdk.codes import Code
from edge_sdk.contracts import Label, OutputContract, OutputQuantity
from edge_sdk.errors import VerificationError
from edge_sdk.manifest import VerificationReport

COMMON, RARE = 1000, MINIMUM_WINDOWS - 1
CODE = Code("urn:test", "kind", "Kind")
CLASSES = OutputContract(
    name="chances", code=CODE, labels=(Label(name="low", display="low"), Label(name="high", display="high"))
)
PRESSURE = OutputContract(
    name="pressure",
    code=CODE,
    quantities=(
        OutputQuantity(name="systolic", display="systolic pressure", unit="mm[Hg]", factor=10.0, offset=120.0),
    ),
)


def report(*, lost: int, of: int, budget_points: float, groups: np.ndarray | None = None) -> VerificationReport:
    truth = np.array([0] * COMMON + [1] * of)
    before = np.eye(2, dtype=np.float32)[truth]
    after = before.copy()
    after[COMMON : COMMON + lost] = [1, 0]
    windows = WindowSet(
        inputs={"x": before}, labels=truth, groups={} if groups is None else {"sex": groups.astype(np.str_)}
    )
    return compare(before, after, windows, CLASSES, budget_points=budget_points)


def estimates(*, off: float, budget_points: float, sexes: np.ndarray | None = None) -> VerificationReport:
    truth = np.random.default_rng(1).normal(0, 1, (400, 1)).astype(np.float32)
    before = truth + np.float32(0.1)
    after = before.copy()
    after[:100] += np.float32(off)
    windows = WindowSet(
        inputs={"x": truth},
        targets=truth * 10 + 120,
        groups={} if sexes is None else {"sex": sexes.astype(np.str_)},
    )
    return compare(before, after, windows, PRESSURE, budget_points=budget_points)


def test_a_class_that_lost_more_than_the_budget_is_named_with_its_loss() -> None:
    with pytest.raises(VerificationError, match=r"sensitivity of class high lost 3\.00 points .*the budget is 2"):
        check_budget(report(lost=3, of=100, budget_points=2.0))


def test_a_loss_within_the_budget_passes() -> None:
    found = report(lost=2, of=100, budget_points=2.5)

    check_budget(found)

    assert found.classes[1].sensitivity_compiled == pytest.approx(0.98)
    assert found.agreement == pytest.approx(1 - 2 / (COMMON + 100))


def test_a_class_that_other_classes_leak_into_loses_predictivity() -> None:
    with pytest.raises(VerificationError, match=r"positive predictivity of class low lost"):
        check_budget(report(lost=RARE, of=RARE, budget_points=1.0))


def test_a_class_with_too_few_windows_is_not_judged() -> None:
    found = report(lost=1, of=RARE, budget_points=0.5)

    check_budget(found)

    assert [is_judged(figures.windows) for figures in found.classes] == [True, False]


def test_one_window_may_always_change() -> None:
    check_budget(report(lost=1, of=MINIMUM_WINDOWS, budget_points=0.5))


def test_a_loss_in_one_group_is_refused_even_if_all_together_keep_the_budget() -> None:
    of_class = 400
    sexes = np.array(["M"] * (COMMON + of_class))
    sexes[COMMON : COMMON + 40] = "F"
    sexes[:40] = "F"
    found = report(lost=6, of=of_class, budget_points=2.0, groups=sexes)

    with pytest.raises(
        VerificationError, match=r"in the group sex F, the sensitivity of class high lost 15\.00 points"
    ):
        check_budget(found)

    assert found.classes[1].sensitivity_float - found.classes[1].sensitivity_compiled < 0.02


def test_a_group_too_small_to_judge_says_so() -> None:
    sexes = np.array(["M"] * (COMMON + 400))
    sexes[COMMON : COMMON + RARE] = "F"
    found = report(lost=2, of=400, budget_points=2.0, groups=sexes)

    check_budget(found)

    (women,) = (group for group in found.groups if group.value == "F")
    assert (women.windows, women.lost) == (RARE, "")


def test_the_calibration_error_of_honest_probabilities_is_nothing_and_of_sure_and_wrong_ones_is_all() -> None:
    truth = np.array([0, 0, 0, 1] * 25)
    honest = np.tile(np.array([0.75, 0.25], np.float32), (100, 1))
    sure = np.tile(np.array([1.0, 0.0], np.float32), (100, 1))

    assert calibration_error(honest, truth) == pytest.approx(0.0, abs=1e-6)
    assert calibration_error(sure, truth) == pytest.approx(0.25, abs=1e-6)


def test_errors_of_an_estimate_are_in_its_unit() -> None:
    (found,) = estimates(off=0.0, budget_points=0.5).quantities

    assert found.mean_error_float == pytest.approx(1.0, abs=1e-4)
    assert found.mean_absolute_error_compiled == pytest.approx(1.0, abs=1e-4)
    assert found.r_squared_float == pytest.approx(0.99, abs=0.005)


def test_an_estimate_that_explains_less_than_the_budget_allows_is_refused() -> None:
    check_budget(estimates(off=0.01, budget_points=0.5))

    with pytest.raises(VerificationError, match="R² of systolic lost"):
        check_budget(estimates(off=0.5, budget_points=0.5))


def test_an_estimate_that_harms_one_group_is_refused() -> None:
    sexes = np.array(["F"] * 100 + ["M"] * 300)

    with pytest.raises(VerificationError, match="in the group sex F, R² of systolic lost"):
        check_budget(estimates(off=0.15, budget_points=2.5, sexes=sexes))
