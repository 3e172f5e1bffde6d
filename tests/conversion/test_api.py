from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

import converters
from edge_sdk.bundle import open_bundle
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from edge_sdk.signing import load_public_key
from tests.conversion.conftest import CONTRACT, MODELS, windows


@pytest.fixture
def contract() -> ModelContract:
    return msgspec.toml.decode(CONTRACT, type=ModelContract)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*")  # Keras, saving with a newer numpy
def test_everything_can_be_given_in_memory(contract: ModelContract, materials: Path, tmp_path: Path) -> None:
    import keras

    steps: list[tuple[str, float]] = []
    conversion = converters.convert(
        model=keras.saving.load_model(MODELS / "tiny.keras"),
        contract=contract,
        profiles=["raspberry-pi-4b", "raspberry-pi-5"],
        calibration=windows(200, seed=1),
        evaluation={**windows(400, seed=2), "group_sex": np.array(["F", "M"] * 200)},
        key=materials / "signing.key",
        out=tmp_path / "bundles",
        report=tmp_path / "report.html",
        budget_points=5.0,
        progress=lambda step, done: steps.append((step, done)),
    )

    assert [sealed.profile for sealed in conversion.bundles] == ["raspberry-pi-4b", "raspberry-pi-5"]
    for sealed in conversion.bundles:
        opened = open_bundle(sealed.path, trusted=[load_public_key(materials / "signing.pub")])
        assert opened.manifest.artifacts[0].targets == (sealed.profile,)
        assert [group.value for group in opened.manifest.verification.groups] == ["F", "M"]
        assert sealed.report
        assert "sex <b>F</b>" in sealed.report.read_text()
    assert [done for _, done in steps] == sorted(done for _, done in steps)


def test_a_model_of_nothing_known_is_refused(contract: ModelContract, materials: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="a dict of builtins is no model"):
        converters.convert(
            model={},
            contract=contract,
            profiles=["raspberry-pi-4b"],
            evaluation=windows(400, seed=2),
            key=materials / "signing.key",
            out=tmp_path / "tiny.edge",
        )


def test_the_same_board_twice_is_refused(contract: ModelContract, materials: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="the same profile is given twice"):
        converters.convert(
            model=MODELS / "tiny.keras",
            contract=contract,
            profiles=["raspberry-pi-4b", "raspberry-pi-4b"],
            evaluation=windows(400, seed=2),
            calibration=windows(200, seed=1),
            key=materials / "signing.key",
            out=tmp_path,
        )


def test_the_fastest_recipe_that_keeps_the_budget_is_chosen(
    contract: ModelContract, materials: Path, tmp_path: Path
) -> None:
    conversion = converters.convert(
        model=MODELS / "tiny.keras",
        contract=contract,
        profiles=["raspberry-pi-4b"],
        recipe="auto",
        calibration=windows(200, seed=1),
        evaluation=windows(400, seed=2),
        key=materials / "signing.key",
        out=tmp_path / "tiny.edge",
        report=tmp_path / "report.html",
        budget_points=5.0,
    )

    tried = {trial.recipe: trial for trial in conversion.trials}
    assert {"float32", "float16", "dynamic-int8", "int8", "int8-mixed", "int16x8"} <= set(tried)
    (chosen,) = (trial for trial in conversion.trials if trial.chosen)
    assert conversion.bundles[0].manifest.recipe == chosen.recipe
    assert chosen.latency_us <= 1.05 * min(trial.latency_us for trial in conversion.trials if trial.latency_us)
    page = (tmp_path / "report.html").read_text()
    for recipe in tried:
        assert f"<b>{recipe}</b>" in page
    assert page.count("<circle") == 2 * sum(trial.latency_us > 0 for trial in conversion.trials)
