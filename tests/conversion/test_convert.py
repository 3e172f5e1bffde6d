from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_sdk.bundle import open_bundle
from edge_sdk.signing import load_public_key
from tests.conversion.conftest import Workbench


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic-int8", "int8"])
def test_every_recipe_keeps_the_decisions(workbench: Workbench, recipe: str) -> None:
    figures = workbench.folder / "figures.json"

    done = workbench.with_(recipe=recipe).run("--json", str(figures))

    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    assert found["recipe"] == recipe
    assert found["agreement"] > 0.98
    assert found["accuracy_float"] > 0.9


def test_an_int8_bundle_is_int8_from_end_to_end(workbench: Workbench, materials: Path) -> None:
    assert workbench.run().returncode == 0

    bundle = open_bundle(workbench.out, trusted=[load_public_key(materials / "signing.pub")])
    (artifact,) = bundle.manifest.artifacts
    assert {spec.dtype for spec in (*artifact.inputs, *artifact.outputs)} == {"int8"}
    assert {spec.name for spec in artifact.inputs} == {"waveform", "features"}
    assert artifact.targets == ("raspberry-pi-4b",)
    assert len(bundle.self_test.cases) == 8


def test_the_same_inputs_give_the_same_bytes(workbench: Workbench) -> None:
    workbench.run()
    first = workbench.out.read_bytes()
    workbench.run()

    assert workbench.out.read_bytes() == first


def test_the_report_holds_its_figures_and_pictures(workbench: Workbench) -> None:
    report, figures = workbench.folder / "report.html", workbench.folder / "figures.json"

    workbench.run("--report", str(report), "--json", str(figures))

    html = report.read_text()
    agreement = 100 * json.loads(figures.read_text())["agreement"]
    assert f"{agreement:.2f} %" in html
    assert html.count("data:image/svg+xml;base64,") == 4
    assert "<script" not in html


def test_a_crash_of_native_code_names_the_step(workbench: Workbench, materials: Path) -> None:
    done = workbench.with_(model=materials / "lstm.keras").run()

    assert done.returncode == 2
    assert "in step 'optimize'" in done.stderr or "recipe 'int8' cannot be applied" in done.stderr
    assert not workbench.out.exists()
