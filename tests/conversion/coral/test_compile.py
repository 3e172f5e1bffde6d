"""From an integer model to one for the Edge TPU, with what the real compiler made of a real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.compilers.coral.compile import MODEL_PATH, compile_coral, findings
from converters.compilers.coral.compiler import ENVIRONMENT
from converters.compilers.coral.forecast import COMPILED_OPERATOR, forecast
from converters.compilers.coral.log import parse_log
from converters.compilers.coral.readback import compare
from converters.compilers.coral.rulebook import SECOND_SUBGRAPH
from converters.flatbuffers import read_model
from converters.importers.tensorflow import SIGNATURE
from converters.models import FloatModel, OptimizedModel
from converters.optimizers.recipe import load_recipe
from converters.tensors import run_flatbuffer
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError, MissingDependency
from edge_sdk.profiles import load_profile
from edge_sdk.settings import load_toml
from tests.conversion.coral.conftest import Recordings, data, log
from tests.conversion.coral.flatbuffers import Op, T, constant, model_of, one, pack, weights

CORAL = load_profile("coral-usb-on-pi-4b")
CONTRACT = """\
id = "digits"
version = "1.0.0"
title = "Rows of a digit, read in turn"

[input.signal]
kind = "ecg"
unit = "mV"
channels = ["II"]
sample_rate_hz = 100.0

[input.windows]
type = "fixed"
length_s = 0.28
hop_s = 0.28

[[input.inputs]]
name = "waveform"
takes = "waveform"
shape = [28, 28]

[output]
name = "digit"
activation = "none"
code = { system = "urn:test", code = "digit", display = "Digit" }
labels = [
"""


def signed(flatbuffer: bytes, **names: str) -> bytes:
    """Return a model with the signature that every importer gives it."""
    model = read_model(flatbuffer)
    graph = model.subgraphs[0]
    signature: Any = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    signature.inputs = [_entry(names["given"], graph.inputs[0])]
    signature.outputs = [_entry(names["answered"], graph.outputs[0])]
    model.signatureDefs = [signature]
    return pack(model)


def _entry(name: str, index: int) -> Any:
    entry: Any = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(index)
    return entry


@pytest.fixture
def contract(tmp_path: Path) -> ModelContract:
    path = tmp_path / "digits.toml"
    labels = "\n".join(f'{{ name = "{digit}", display = "{digit}" }},' for digit in range(10))
    path.write_text(f"{CONTRACT}{labels}\n]\n")
    return load_toml(path, ModelContract, what="model contract")


@pytest.fixture
def optimized(contract: ModelContract) -> OptimizedModel:
    """A real integer model, as the optimizer gives it."""
    return optimized_of(signed(data("keras_lstm_mnist_ptq.tflite"), given="waveform", answered="digit"), contract)


def optimized_of(flatbuffer: bytes, contract: ModelContract) -> OptimizedModel:
    source = FloatModel(
        contract=contract,
        flatbuffer=flatbuffer,
        predict=lambda windows: run_flatbuffer(flatbuffer, windows),
        to_onnx=bytes,
        source_name="digits.tflite",
        source_sha256="0" * 64,
        source_bytes=len(flatbuffer),
        components=(),
    )
    recipe = load_recipe("int8-compatible")
    return OptimizedModel(source=source, recipe=recipe, form="litert", data=flatbuffer, reference=flatbuffer)


def test_a_real_model_is_compiled_and_read_back(optimized: OptimizedModel, recordings: Recordings):
    compiled = data("keras_lstm_mnist_ptq_edgetpu.tflite")
    recordings.add(optimized.data, log=log("keras_lstm_mnist_ptq.log"), compiled=compiled)
    result = compile_coral(optimized, CORAL)
    assert result.data == compiled
    assert result.host_flatbuffer == optimized.data
    assert (result.artifact.path, result.artifact.backend) == (MODEL_PATH, "edgetpu")
    assert result.artifact.targets == (CORAL.slug,)
    assert [spec.name for spec in result.artifact.inputs] == ["waveform"]
    assert [finding.verdict for finding in result.findings] == ["on the Edge TPU"] * 6
    assert "6 of 6" in result.notes["on the Edge TPU"]
    assert "6 of 6" in result.notes["forecast"]
    assert "16.0" in result.notes["compiler"]


def test_answers_come_from_the_model_that_went_into_the_compiler(optimized: OptimizedModel, recordings: Recordings):
    recordings.add(
        optimized.data, log=log("keras_lstm_mnist_ptq.log"), compiled=data("keras_lstm_mnist_ptq_edgetpu.tflite")
    )
    windows = {"waveform": np.random.default_rng(1).random((3, 28, 28), np.float32)}
    answers = compile_coral(optimized, CORAL).predict(windows)
    np.testing.assert_array_equal(answers, run_flatbuffer(optimized.data, windows))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=0.05)


def test_without_the_compiler_the_error_says_how_to_get_it(
    optimized: OptimizedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    with pytest.raises(MissingDependency, match="coral-edgetpu-stable"):
        compile_coral(optimized, CORAL)


FLOAT = T(dtype="FLOAT32", scales=0)
INSIDE = [T(), FLOAT, FLOAT, T()]
NOT_INTEGER = {
    "floats go in": one("LOGISTIC", FLOAT),
    "floats come out": one("DEQUANTIZE", T(), outputs=(FLOAT,)),
    "floats are inside": model_of(
        INSIDE,
        [
            Op(name="DEQUANTIZE", inputs=(0,), outputs=(1,)),
            Op(name="LOGISTIC", inputs=(1,), outputs=(2,)),
            Op(name="QUANTIZE", inputs=(2,), outputs=(3,)),
        ],
    ),
    "int16": one("LOGISTIC", T(dtype="INT16"), outputs=(T(dtype="INT16"),)),
}


@pytest.mark.parametrize("flatbuffer", NOT_INTEGER.values(), ids=NOT_INTEGER)
def test_a_model_that_is_not_in_8_bits_throughout_is_refused_with_the_recipe(
    flatbuffer: bytes, contract: ModelContract
):
    with pytest.raises(ConversionError) as refusal:
        compile_coral(optimized_of(flatbuffer, contract), CORAL)
    assert "int8-compatible" in refusal.value.remedy


def test_a_model_that_is_too_new_is_refused_before_the_compiler_is_called(contract: ModelContract):
    flatbuffer = one("FULLY_CONNECTED", T(), weights(8, 8), constant([0] * 8), version=12)
    with pytest.raises(ConversionError, match="0 FULLY_CONNECTED") as refusal:
        compile_coral(optimized_of(flatbuffer, contract), CORAL)
    assert "int8-compatible" in refusal.value.remedy


def test_a_model_of_which_nothing_is_mapped_is_refused_with_advice(contract: ModelContract, recordings: Recordings):
    flatbuffer = one("LEAKY_RELU", T())
    recordings.add(flatbuffer, log="Edge TPU Compiler version 16.0.384591198\n", compiled=flatbuffer)
    with pytest.raises(ConversionError, match="nothing of this model") as refusal:
        compile_coral(optimized_of(flatbuffer, contract), CORAL)
    assert "replace it" in refusal.value.remedy


def test_a_board_without_an_accelerator_has_nothing_to_compile_for(optimized: OptimizedModel):
    with pytest.raises(ConversionError, match="Raspberry Pi 5"):
        compile_coral(optimized, load_profile("raspberry-pi-5"))


def test_an_operator_that_is_not_where_it_was_forecast_is_said_so():
    last = Op(name="TANH", inputs=(1,), outputs=(2,))
    source = model_of([T()] * 3, [Op(name="RELU", inputs=(0,), outputs=(1,)), last])
    compiled = model_of([T()] * 3, [Op(name=COMPILED_OPERATOR, inputs=(0,), outputs=(1,)), last])
    said = parse_log(
        f"Operator                       Count      Status\n\nTANH            1          {SECOND_SUBGRAPH}\n"
    )
    expected = forecast(source)
    first, second = findings(expected, compare(source, compiled, expected), said)
    assert (first.verdict, second.verdict) == ("on the Edge TPU", "on the CPU")
    assert second.reason == f"{SECOND_SUBGRAPH} (the forecast said: on the Edge TPU)"
