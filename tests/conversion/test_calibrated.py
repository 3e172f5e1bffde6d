from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from converters.calibrated import fit_temperature
from converters.figures import calibration_error
from edge_sdk.bundle import open_bundle
from edge_sdk.codes import BEAT_CLASS
from edge_sdk.contracts import Label, OutputContract
from edge_sdk.decisions import probabilities
from edge_sdk.errors import ConversionError
from edge_sdk.signing import load_public_key
from tests.conversion.conftest import Workbench, windows

THREE = OutputContract(
    name="logits",
    code=BEAT_CLASS,
    labels=tuple(Label(name=name, display=name) for name in "NSV"),
    activation="softmax",
    bias=(1.0, 0.0, -0.5),
)


def honest(*, seed: int, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are drawn with just the probabilities which the logits mean."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, 3)).astype(np.float32)
    chances = probabilities(logits, THREE).cumsum(axis=1)
    return logits, (random.random((count, 1)) > chances[:, :2]).sum(axis=1)


def scaled(logits: np.ndarray, factor: float) -> np.ndarray:
    """The logits of a model that is so many times as sure, bias and all."""
    bias = np.asarray(THREE.bias, np.float32)
    return ((logits + bias) * np.float32(factor) - bias).astype(np.float32)


@pytest.mark.parametrize("sureness", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_how_much_too_sure_a_model_is(sureness: float) -> None:
    logits, labels = honest(seed=1)

    assert fit_temperature(scaled(logits, sureness), labels, THREE) == pytest.approx(sureness, rel=0.05)


def test_a_fitted_temperature_makes_probabilities_honest_on_other_windows() -> None:
    logits, labels = honest(seed=1)
    others, truth = honest(seed=2)
    fitted = msgspec.structs.replace(THREE, temperature=fit_temperature(scaled(logits, 3), labels, THREE))

    before, after = probabilities(scaled(others, 3), THREE), probabilities(scaled(others, 3), fitted)

    assert calibration_error(after, truth) < 0.02 < calibration_error(before, truth)


def test_a_temperature_changes_no_decision() -> None:
    logits, _ = honest(seed=3)

    for temperature in (0.05, 0.7, 20.0):
        other = probabilities(logits, msgspec.structs.replace(THREE, temperature=temperature))
        assert (other.argmax(axis=1) == probabilities(logits, THREE).argmax(axis=1)).all()


@pytest.mark.parametrize("activation", ["sigmoid", "probability", "none"])
def test_every_way_to_answer_has_a_temperature(activation: str) -> None:
    random = np.random.default_rng(4)
    logit = random.normal(0, 2, 20_000)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    chance = 1 / (1 + np.exp(-2 * logit))
    outputs = {
        "sigmoid": (2 * logit)[:, np.newaxis],
        "probability": chance[:, np.newaxis],
        "none": np.stack([1 - chance, chance], axis=1),
    }[activation]
    contract = msgspec.structs.replace(THREE, labels=THREE.labels[:2], activation=activation, bias=())

    assert fit_temperature(outputs.astype(np.float32), labels, contract) == pytest.approx(2.0, rel=0.06)


def test_windows_that_the_model_has_learnt_by_heart_are_refused() -> None:
    logits, _ = honest(seed=5)

    with pytest.raises(ConversionError, match="not trained on"):
        fit_temperature(logits, probabilities(logits, THREE).argmax(axis=1), THREE)


def test_a_bundle_carries_the_temperature_and_what_it_is_good_for(workbench: Workbench, materials: Path) -> None:
    drawn = windows(400, seed=3)
    at_random = np.random.default_rng(3).random(400) < 0.1  # what nobody could know
    held_out = drawn | {"labels": np.where(at_random, 1 - drawn["labels"], drawn["labels"])}
    np.savez(workbench.folder / "held_out.npz", **held_out)
    figures = workbench.folder / "figures.json"

    done = workbench.run("--probabilities", str(workbench.folder / "held_out.npz"), "--json", str(figures))

    assert done.returncode == 0, done.stderr
    manifest = open_bundle(workbench.out, trusted=[load_public_key(materials / "signing.pub")]).manifest
    assert manifest.output.temperature != 1
    assert f"temperature {manifest.output.temperature:g}, fitted on 400 windows" in done.stdout
    found = json.loads(figures.read_text())
    assert found["calibration_error_unscaled"] == manifest.verification.calibration_error_unscaled >= 0
    assert found["agreement"] > 0.98
