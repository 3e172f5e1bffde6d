from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_sdk.bundle import open_bundle
from edge_sdk.signing import fingerprint, load_public_key
from tests.conversion.conftest import MODELS, Converted, Workbench

Convert = Callable[[str], Converted]


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic-int8", "int8"])
def test_every_recipe_keeps_the_decisions(converted: Convert, recipe: str) -> None:
    conversion = converted(recipe)

    assert conversion.done.returncode == 0, conversion.done.stderr
    found = json.loads(conversion.figures.read_text())
    assert found["recipe"] == recipe
    assert found["agreement"] > 0.98
    assert found["accuracy_float"] > 0.9


def test_an_int8_bundle_is_int8_from_end_to_end(converted: Convert, materials: Path) -> None:
    bundle = open_bundle(converted("int8").bundle, trusted=[load_public_key(materials / "signing.pub")])

    (artifact,) = bundle.manifest.artifacts
    assert {spec.dtype for spec in (*artifact.inputs, *artifact.outputs)} == {"int8"}
    assert {spec.name for spec in artifact.inputs} == {"waveform", "features"}
    assert artifact.targets == ("raspberry-pi-4b",)
    assert len(bundle.self_test.cases) == 8


def test_the_same_inputs_give_the_same_bytes(converted: Convert, workbench: Workbench) -> None:
    workbench.run()

    assert workbench.out.read_bytes() == converted("int8").bundle.read_bytes()


def test_the_report_shows_what_the_bundle_says(converted: Convert, materials: Path) -> None:
    conversion, public = converted("int8"), load_public_key(materials / "signing.pub")
    bundle = open_bundle(conversion.bundle, trusted=[public])

    html = conversion.report.read_text()

    assert f"{100 * bundle.manifest.verification.agreement:.2f} %" in html
    for words in ("Within the accuracy budget", bundle.sha256, fingerprint(public), "tiny.keras", "low", "high"):
        assert words in html
    for name in bundle.manifest.input.features:
        assert f"<code>{name}</code>" in html
    # The windows that moved most, windows of each class, each class's probabilities, how honest both models' are, each
    # feature.
    classes = len(bundle.manifest.output.labels)
    assert html.count("<svg") == 6 + classes + classes + 2 + len(bundle.manifest.input.features)
    assert html.count(" dB") == len(bundle.manifest.verification.layers) > 0


def test_the_report_needs_nothing_but_itself(converted: Convert) -> None:
    html = converted("int8").report.read_text()

    assert not re.search(r"<script|<link|<img|@import|url\(|src=|https?:", html)


def test_a_recurrent_model_reaches_int8_from_end_to_end(workbench: Workbench, materials: Path) -> None:
    done = workbench.with_(model=MODELS / "lstm.keras", budget_points=100.0).run()

    assert done.returncode == 0, done.stderr
    bundle = open_bundle(workbench.out, trusted=[load_public_key(materials / "signing.pub")])
    (artifact,) = bundle.manifest.artifacts
    assert {spec.dtype for spec in (*artifact.inputs, *artifact.outputs)} == {"int8"}
