from __future__ import annotations

import json
import zipfile
from pathlib import Path

import msgspec
import pytest

from converters.importers import importer_for
from edge_sdk.contracts import Label, ModelContract
from edge_sdk.errors import ConversionError
from tests.conversion.conftest import CONTRACT, MODELS

TINY = MODELS / "tiny.keras"
SHIPPED = sorted((Path(__file__).parents[2] / "examples").rglob("*.keras"))


@pytest.fixture
def contract() -> ModelContract:
    return msgspec.toml.decode(CONTRACT, type=ModelContract)


def refusal(model: Path, contract: ModelContract, workspace: Path) -> str:
    with pytest.raises(ConversionError) as refused:
        importer_for(model)(model, contract, workspace)
    return str(refused.value)


def test_a_zip_that_is_no_model(contract: ModelContract, tmp_path: Path) -> None:
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "not a model")

    assert "cannot be loaded as a Keras model" in refusal(other, contract, tmp_path)


def test_a_model_with_other_inputs_than_its_contract(contract: ModelContract, tmp_path: Path) -> None:
    waveform, _ = contract.input.inputs
    fewer = msgspec.structs.replace(contract, input=msgspec.structs.replace(contract.input, inputs=(waveform,)))

    assert "the model's inputs are" in refusal(TINY, fewer, tmp_path)


def test_a_model_with_fewer_outputs_than_its_contract_has_labels(contract: ModelContract, tmp_path: Path) -> None:
    labels = (*contract.output.labels, Label(name="extra", display="extra"))
    more = msgspec.structs.replace(contract, output=msgspec.structs.replace(contract.output, labels=labels))

    assert "the contract's output has 3 values" in refusal(TINY, more, tmp_path)


@pytest.mark.parametrize("example", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_model_can_be_read_by_the_oldest_keras_there_is_for_our_pythons(example: Path) -> None:
    with zipfile.ZipFile(example) as container:
        saved_by = json.loads(container.read("metadata.json"))["keras_version"]

    major, minor, *_ = (int(part) for part in saved_by.split("."))
    assert (major, minor) <= (3, 12)  # the newest for Python 3.10
