from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from converters.calibration import WindowSet
from converters.flatbuffers import operator_name, read_model
from converters.importers.onnx import import_onnx
from converters.importers.onnx_simplify import without_zip_maps
from converters.models import FloatModel
from converters.optimizers.quantize import quantize_model
from converters.optimizers.recipe import load_recipe
from converters.tensors import run_flatbuffer
from edge_sdk.errors import ConversionError
from tests.conversion.onnx_graphs import NOISE, Nodes, answers, contract, graph, saved, weights, windows

pytestmark = NOISE
MODELS = Path(__file__).parent / "data" / "onnx"
SHAPES = {"cnn2d": (12, 10, 3), "lstm": (8, 2), "gru": (8, 2), "logistic": (5,), "linear": (5,), "binary": (5,)}
FILES = sorted(path.stem for path in MODELS.glob("*.onnx"))
NEWEST = {name.rpartition("-")[0]: name for name in sorted(FILES, key=lambda name: int(name.rpartition("-")[2]))}
DENSE: Nodes = [("Gemm", "x w", "y", {})]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FloatModel]:
    @functools.cache
    def once(name: str) -> FloatModel:
        return import_onnx(MODELS / f"{name}.onnx", fitting(name), tmp_path_factory.mktemp("model"))

    return once


def shape_of(name: str) -> tuple[int, ...]:
    return SHAPES.get(name.partition("-")[0], (48, 2))


def fitting(name: str) -> Any:
    return contract(2 if name.startswith("binary") else 3, window=shape_of(name))


def operators(flatbuffer: bytes) -> Counter[str]:
    model = read_model(flatbuffer)
    return Counter(operator_name(model, operator) for each in model.subgraphs for operator in each.operators)


def refusal(model: Any, wanted: Any, folder: Path) -> str:
    with pytest.raises(ConversionError) as refused:
        import_onnx(saved(model, folder / "model.onnx"), wanted, folder)
    return str(refused.value)


def dense(**changes: Any) -> Any:
    return graph(DENSE, {"x": ("n", 4)}, {"w": weights(4, 2)}, **changes)


@pytest.mark.parametrize("name", FILES)
def test_every_exporters_model_answers_as_in_onnxruntime(name: str, imported: Callable[[str], FloatModel]) -> None:
    model, given = imported(name), windows(8, window=shape_of(name))

    expected = model.predict(given)

    assert np.ptp(expected, axis=0).min() > 1e-3
    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NEWEST.values())
def test_the_onnx_form_has_the_contracts_names_and_the_same_answers(
    name: str, imported: Callable[[str], FloatModel]
) -> None:
    model, given = imported(name), windows(4, window=shape_of(name))

    proto = model.to_onnx()

    np.testing.assert_allclose(answers(proto, given, "answer"), model.predict(given), rtol=0, atol=1e-5)
    assert max(item.version for item in onnx.load_from_string(proto).opset_import) >= 17


@pytest.mark.parametrize("kind", ["lstm-dynamo", "lstm-keras", "gru-dynamo"])
def test_a_recurrent_model_written_out_has_no_loop_and_the_same_answers(
    kind: str, imported: Callable[[str], FloatModel]
) -> None:
    model, given = imported(NEWEST[kind]), windows(4, window=SHAPES["lstm"])
    assert model.unrolled is not None

    unrolled = model.unrolled()

    assert "WHILE" in operators(model.flatbuffer)
    assert "WHILE" not in operators(unrolled)
    np.testing.assert_allclose(run_flatbuffer(unrolled, given), model.predict(given), rtol=0, atol=1e-5)


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo", "keras"])
@pytest.mark.parametrize("architecture", ["cnn1d", "cnn2d", "depthwise", "residual"])
def test_convolutions_need_no_transpose(
    architecture: str, exporter: str, imported: Callable[[str], FloatModel]
) -> None:
    model = imported(NEWEST[f"{architecture}-{exporter}"])

    assert operators(model.flatbuffer)["TRANSPOSE"] == 0


@pytest.mark.parametrize("kind", ["cnn1d-torchscript", "depthwise-dynamo", "residual-keras", "attention-dynamo"])
def test_an_imported_model_keeps_its_answers_in_int8(kind: str, imported: Callable[[str], FloatModel]) -> None:
    model, given = imported(NEWEST[kind]), windows(64, window=shape_of(kind))

    compact = quantize_model(model, load_recipe("int8"), WindowSet(inputs=given)).data

    expected = model.predict(given)
    noise = np.square(run_flatbuffer(compact, given) - expected).sum()
    assert 10 * np.log10(np.square(expected).sum() / noise) > 25


def test_channels_are_moved_where_the_contract_has_them_last(imported: Callable[[str], FloatModel]) -> None:
    assert imported(NEWEST["cnn1d-dynamo"]).remarks == (
        "input 'window' has its channels last in the contract, and not in the model: they are moved",
    )
    assert imported(NEWEST["cnn1d-keras"]).remarks == ()


@pytest.mark.parametrize("kind", ["linear-sklearn", "logistic-sklearn"])
def test_a_scaler_is_moved_in_front_of_the_model(kind: str, imported: Callable[[str], FloatModel]) -> None:
    model, prepared = imported(NEWEST[kind]), windows(8, window=(5,))
    (moved,) = model.contract.input.inputs
    (step,) = moved.steps
    raw = {"X": (prepared["window"] * np.array(step.std) + np.array(step.mean)).astype(np.float32)}
    output = "probabilities" if kind.startswith("logistic") else "variable"
    source = without_zip_maps(onnx.load(MODELS / f"{NEWEST[kind]}.onnx"))

    assert np.ptp(raw["X"], axis=0).min() > 20  # what one scale of eight bits would have to hold
    assert "in float, before the model" in model.remarks[0]
    assert not {"SUB", "DIV"} & set(operators(model.flatbuffer))
    np.testing.assert_allclose(model.predict(prepared), answers(source, raw, output), rtol=0, atol=1e-5)


def test_an_axis_of_size_one_is_added(tmp_path: Path) -> None:
    nodes: Nodes = [("Conv", "x w", "c", {}), ("GlobalAveragePool", "c", "p", {}), ("Flatten", "p", "y", {})]
    path = saved(graph(nodes, {"x": ("n", 1, 1, 30)}, {"w": weights(2, 1, 1, 3)}), tmp_path / "model.onnx")
    given = windows(4, window=(30, 1))

    model = import_onnx(path, contract(2, window=(30, 1)), tmp_path)

    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), model.predict(given), rtol=0, atol=1e-5)
    assert model.predict(given).shape == (4, 2)


def test_two_inputs_are_told_apart_by_name(tmp_path: Path) -> None:
    nodes: Nodes = [("Mul", "first a", "m", {}), ("Sub", "m second", "y", {})]
    model = graph(nodes, {"second": ("n", 3), "first": ("n", 3)}, {"a": np.float32(2)})
    path, given = saved(model, tmp_path / "model.onnx"), windows(4, first=(3,), second=(3,))

    read = import_onnx(path, contract(3, first=(3,), second=(3,)), tmp_path)

    expected = 2 * given["first"] - given["second"]
    np.testing.assert_allclose(read.predict(given), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(run_flatbuffer(read.flatbuffer, given), expected, rtol=0, atol=1e-5)
    assert "the model's inputs are" in refusal(model, contract(3, first=(3,), third=(3,)), tmp_path)


def test_the_output_that_the_contract_names_is_taken(tmp_path: Path) -> None:
    nodes: Nodes = [*DENSE, ("Neg", "y", "answer", {})]
    model = graph(nodes, {"x": ("n", 4)}, {"w": weights(4, 2)}, outputs=("y", "answer"))
    given = windows(3, x=(4,))

    read = import_onnx(saved(model, tmp_path / "model.onnx"), contract(2, x=(4,)), tmp_path)

    np.testing.assert_allclose(run_flatbuffer(read.flatbuffer, given), -given["x"] @ weights(4, 2), rtol=0, atol=1e-5)


def test_two_outputs_that_could_be_meant(tmp_path: Path) -> None:
    model = graph([*DENSE, ("Neg", "y", "z", {})], {"x": ("n", 4)}, {"w": weights(4, 2)}, outputs=("y", "z"))

    assert "the model's outputs are y (1, 2), z (1, 2)" in refusal(model, contract(2, x=(4,)), tmp_path)


def test_weights_in_a_file_beside_it(tmp_path: Path) -> None:
    onnx.save(dense(), tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    given = windows(3, x=(4,))

    model = import_onnx(tmp_path / "model.onnx", contract(2, x=(4,)), tmp_path)

    np.testing.assert_allclose(model.predict(given), given["x"] @ weights(4, 2), rtol=0, atol=1e-5)
    assert model.source_bytes == sum((tmp_path / name).stat().st_size for name in ("model.onnx", "weights.bin"))


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "link.bin"])
def test_weights_outside_its_folder(location: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(32))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    model = dense()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)

    assert "outside its folder" in refusal(model, contract(2, x=(4,)), folder)


@pytest.mark.parametrize("damage", ["random", "cut", "empty", "other weights", "missing weights", "new"])
def test_a_damaged_file(damage: str, tmp_path: Path) -> None:
    model = dense()
    if damage == "missing weights":
        del model.graph.initializer[:]
    if damage == "other weights":
        model.graph.initializer[0].dims[0] = 3
    if damage == "new":
        model.ir_version = 99
    whole = model.SerializeToString()
    content = {"random": np.random.default_rng(1).bytes(500), "cut": whole[: len(whole) // 2], "empty": b""}
    (tmp_path / "model.onnx").write_bytes(content.get(damage, whole))

    with pytest.raises(ConversionError, match=r"cannot be read as an ONNX model|onnxruntime does not run|inputs are"):
        import_onnx(tmp_path / "model.onnx", contract(2, x=(4,)), tmp_path)


def test_an_operator_that_is_not_known_is_named(tmp_path: Path) -> None:
    model = graph([("Det", "x", "d", {}), ("Reshape", "d s", "y", {})], {"x": (1, 2, 2)}, {"s": np.array([1, 1])})

    assert "Det (node 'd')" in refusal(model, contract(1, x=(2, 2)), tmp_path)


def test_an_operator_of_ones_own_is_named(tmp_path: Path) -> None:
    model = graph([("my.ops:Magic", "x", "y", {})], {"x": (1, 4)})
    model.opset_import.add(domain="my.ops", version=1)

    assert "Magic" in refusal(model, contract(4, x=(4,)), tmp_path)


def test_a_quantized_model(tmp_path: Path) -> None:
    scale = {"s": np.float32(0.1), "z": np.int8(0)}
    model = graph([("QuantizeLinear", "x s z", "q", {}), ("DequantizeLinear", "q s z", "y", {})], {"x": (1, 4)}, scale)

    assert "the model is quantized already" in refusal(model, contract(4, x=(4,)), tmp_path)


@pytest.mark.parametrize(
    ("shape", "wanted", "why"),
    [
        ((1, 5), (4,), "the model's inputs are x (1, 5), the contract's x (4)"),
        ((32, 4), (4,), "its first axis is not a batch of one window"),
        ((1, 6, 4), (5, 4), "the model's inputs are x (1, 6, 4)"),
    ],
)
def test_a_shape_that_is_not_the_contracts(
    shape: tuple[int, ...], wanted: tuple[int, ...], why: str, tmp_path: Path
) -> None:
    model = graph([("Flatten", "x", "y", {})], {"x": shape})

    assert why in refusal(model, contract(4, x=wanted), tmp_path)


def test_axes_of_the_same_size_are_taken_in_the_contracts_order_and_remarked_on(tmp_path: Path) -> None:
    path = saved(graph([("Flatten", "x", "y", {})], {"x": ("n", 3, 3)}), tmp_path / "model.onnx")

    model = import_onnx(path, contract(9, x=(3, 3)), tmp_path)

    assert model.remarks == ("input 'x' has axes of the same size: they were taken to be in the contract's order",)
