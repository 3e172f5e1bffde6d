from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sdk.bundle import open_bundle
from edge_sdk.codes import LOCAL
from edge_sdk.contracts import ModelContract, Standardize
from edge_sdk.settings import load_toml
from edge_sdk.signing import load_public_key
from tests.conversion.readmes import BLOCK, CLINICAL, Documented, commands, run, workplace

# Converting runs in a process of its own outside of tests, where nobody sees what TensorFlow and LiteRT warn of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning"),
]


@pytest.fixture(scope="module", params=CLINICAL, ids=lambda page: page.parent.name)
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def done(page: Path) -> Iterator[tuple[Path, list[tuple[Documented, str]]]]:
    """The folder in which every documented command was run, and what each printed."""
    documented = [one for block in BLOCK.findall(page.read_text()) for one in commands(block)]
    with workplace() as folder:
        yield folder, [(one, run(one.words)) for one in documented]


def test_every_documented_command_prints_what_the_page_says(
    done: tuple[Path, list[tuple[Documented, str]]],
) -> None:
    _, printed = done

    assert {one.text: found for one, found in printed} == {one.text: one.output for one, _ in printed}
    assert any(one.output for one, _ in printed)


def test_int8_from_either_framework_keeps_the_budget_in_every_group(
    done: tuple[Path, list[tuple[Documented, str]]],
) -> None:
    folder, _ = done
    bundles = sorted(folder.glob("*.edge"))

    for path in bundles:
        manifest = open_bundle(path, trusted=[load_public_key(folder / "keys" / "signing.pub")]).manifest
        (artifact,) = manifest.artifacts
        assert {spec.dtype for spec in (*artifact.inputs, *artifact.outputs)} == {"int8"}
        assert {group.attribute for group in manifest.verification.groups} == {"sex", "age_band"}
        assert isinstance(manifest.input.inputs[0].steps[0], Standardize)
        assert manifest.output.code.system == LOCAL  # neither a measurement nor a diagnosis
    assert {"from_sklearn.edge", "from_keras.edge"} <= {path.name for path in bundles}


def test_calibration_and_evaluation_hold_the_facts_of_the_contract(page: Path) -> None:
    for contract in page.parent.glob("*.toml"):
        features = load_toml(contract, ModelContract, what="contract").input.features
        for kind in ("calibration", "evaluation"):
            (table,) = {*page.parent.glob(f"{contract.stem}_{kind}.csv"), *page.parent.glob(f"{kind}.csv")}
            with table.open() as stream:
                header = next(csv.reader(stream))
            assert tuple(header[: len(features)]) == features


def test_the_data_says_its_licence_and_whom_to_thank(page: Path) -> None:
    words = (page.parent / "data" / "README.md").read_text()

    assert re.search(r"public domain|creativecommons\.org/licenses", words, re.IGNORECASE)
    assert "Credit:" in words
