from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from converters.calibration import WindowSet
from converters.flatbuffers import operator_name, read_model, write_model
from converters.importers.keras import Origin, float_model
from converters.importers.litert import import_litert
from converters.models import FloatModel
from converters.optimizers.quantize import quantize_model
from converters.optimizers.recipe import load_recipe
from converters.tensors import run_flatbuffer
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from tests.conversion.keras_networks import CLASSES, SHAPES, keras_models
from tests.conversion.onnx_graphs import NOISE, answers, contract, weights, windows

pytestmark = NOISE
OPEN = [name for name in SHAPES if name not in {"lstm", "gru"}]  # LiteRT's converter leaves no loop's batch open


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Makes the ``.tflite`` that people have: of a SavedModel, its batch left open."""
    networks = keras_models()

    @functools.cache
    def once(name: str) -> bytes:
        folder = tmp_path_factory.mktemp(name)
        networks[name].export(folder, verbose=False)
        flatbuffer: bytes = tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()
        return flatbuffer

    return once


def read(data: bytes, wanted: ModelContract, folder: Path) -> FloatModel:
    (folder / "model.tflite").write_bytes(data)
    return import_litert(folder / "model.tflite", wanted, folder)


def refusal(data: bytes, wanted: ModelContract, folder: Path) -> str:
    with pytest.raises(ConversionError) as refused:
        read(data, wanted, folder)
    return str(refused.value)


def flatbuffer_of(function: Callable[..., Any], *specs: Any, **settings: Any) -> bytes:
    """The ``.tflite`` of a function without variables."""
    module = tf.Module()
    module.call = tf.function(function, input_signature=specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.call.get_concrete_function()], module)
    for name, value in settings.items():
        setattr(converter, name, value)
    data: bytes = converter.convert()
    return data


def spec(name: str, *shape: int | None) -> Any:
    return tf.TensorSpec(shape, tf.float32, name=name)


def dense(**settings: Any) -> bytes:
    return flatbuffer_of(lambda x: {"y": tf.matmul(x, weights(4, 2))}, spec("x", 1, 4), **settings)


def changed(data: bytes, change: Callable[[Any], None]) -> bytes:
    model = read_model(data)
    change(model)
    return write_model(model)


@pytest.mark.parametrize("name", OPEN)
def test_every_form_answers_as_the_file(name: str, made: Callable[[str], bytes], tmp_path: Path) -> None:
    model, given = read(made(name), contract(CLASSES, window=SHAPES[name]), tmp_path), windows(8, window=SHAPES[name])

    expected = model.predict(given)

    assert np.ptp(expected, axis=0).min() > 1e-3
    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(answers(model.to_onnx(), given, "answer"), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_loop_answers_as_the_file(name: str, tmp_path: Path) -> None:
    network = keras_models()[name]
    theirs = contract(CLASSES, **{network.inputs[0].name: SHAPES[name]})
    source = float_model(network, theirs, tmp_path, Origin(name="x", sha256="", size_bytes=0))
    given = windows(8, window=SHAPES[name])

    model = read(source.flatbuffer, contract(CLASSES, window=SHAPES[name]), tmp_path)

    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), model.predict(given), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["cnn1d", "attention"])
def test_an_open_batch_is_fixed_so_that_integers_can_be_used(
    name: str, made: Callable[[str], bytes], tmp_path: Path
) -> None:
    given = windows(64, window=SHAPES[name])
    model = read(made(name), contract(CLASSES, window=SHAPES[name]), tmp_path)

    compact = quantize_model(model, load_recipe("int8"), WindowSet(inputs=given)).data

    assert operators(made(name))["SHAPE"] > 0
    assert operators(model.flatbuffer)["SHAPE"] == 0
    expected = model.predict(given)
    noise = np.square(run_flatbuffer(compact, given) - expected).sum()
    assert 10 * np.log10(np.square(expected).sum() / noise) > 25


def operators(flatbuffer: bytes) -> Counter[str]:
    model = read_model(flatbuffer)
    return Counter(operator_name(model, operator) for operator in model.subgraphs[0].operators)


def two_inputs() -> bytes:
    return flatbuffer_of(lambda a, b: {"y": 2 * a + b[:, :3]}, spec("a", 1, 3), spec("b", 1, 5))


def test_two_inputs_are_told_apart_by_name_or_by_shape(tmp_path: Path) -> None:
    given = windows(5, a=(3,), b=(5,))
    expected = 2 * given["a"] + given["b"][:, :3]

    by_name = read(two_inputs(), contract(3, a=(3,), b=(5,)), tmp_path)
    by_shape = read(two_inputs(), contract(3, late=(5,), early=(3,)), tmp_path)

    np.testing.assert_allclose(run_flatbuffer(by_name.flatbuffer, given), expected, rtol=0, atol=1e-5)
    renamed = {"early": given["a"], "late": given["b"]}
    np.testing.assert_allclose(by_shape.predict(renamed), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(run_flatbuffer(by_shape.flatbuffer, renamed), expected, rtol=0, atol=1e-5)


def test_a_file_without_a_signature(tmp_path: Path) -> None:
    data, given = changed(dense(), lambda model: setattr(model, "signatureDefs", None)), windows(3, x=(4,))

    model = read(data, contract(2, x=(4,)), tmp_path)

    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), given["x"] @ weights(4, 2), rtol=0, atol=1e-5)


def test_only_what_the_contracts_output_needs_is_kept(tmp_path: Path) -> None:
    def both(x: Any) -> dict[str, Any]:
        return {"answer": tf.matmul(x, weights(4, 2)), "other": tf.nn.softmax(tf.sin(x)[:, :2])}

    model = read(flatbuffer_of(both, spec("x", 1, 4)), contract(2, x=(4,)), tmp_path)

    assert list(operators(model.flatbuffer)) == ["FULLY_CONNECTED"]


@pytest.mark.parametrize("kind", ["float16", "dynamic int8", "int8"])
def test_a_quantized_file(kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    kernel = weights(64, 64)
    if kind == "float16":
        settings["target_spec"] = tf.lite.TargetSpec(supported_types=[tf.float16])
    if kind == "int8":
        settings["representative_dataset"] = lambda: ([weights(1, 64, seed=seed)] for seed in range(20))
    data = flatbuffer_of(lambda x: {"y": tf.matmul(x, kernel)}, spec("x", 1, 64), **settings)

    assert "quantized or in half precision already" in refusal(data, contract(64, x=(64,)), tmp_path)


def test_a_file_compiled_for_an_edge_tpu(tmp_path: Path) -> None:
    compiled = Path(__file__).parent / "coral" / "data" / "keras_lstm_mnist_ptq_edgetpu.tflite"

    assert "compiled for an Edge TPU" in refusal(compiled.read_bytes(), contract(2, x=(4,)), tmp_path)


@pytest.mark.parametrize("kept", [0, 30, 200, 600])
def test_a_file_cut_short(kept: int, tmp_path: Path) -> None:
    assert refusal(dense()[:kept], contract(2, x=(4,)), tmp_path)


def test_a_file_of_random_bytes(tmp_path: Path) -> None:
    data = b"\x1c\x00\x00\x00TFL3" + np.random.default_rng(1).bytes(500)

    assert "this is no LiteRT model" in refusal(data, contract(2, x=(4,)), tmp_path)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (contract(2, x=(5,)), "the model's inputs are x (1, 4), the contract's x (5)"),
        (contract(3, x=(4,)), "the model's outputs are y (1, 2)"),
        (contract(2, x=(4,), z=(3,)), "the model's inputs are x (1, 4)"),
    ],
)
def test_a_contract_of_another_model(wanted: ModelContract, why: str, tmp_path: Path) -> None:
    assert why in refusal(dense(), wanted, tmp_path)


def test_axes_in_another_order(tmp_path: Path) -> None:
    data = flatbuffer_of(lambda x: {"y": tf.reduce_mean(x, 2)}, spec("x", 1, 3, 7))

    assert "orders its axes differently" in refusal(data, contract(3, x=(7, 3)), tmp_path)
