from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters.calibration import WindowSet, read_windows
from converters.compilers.jetson import check, probe
from converters.compilers.jetson.compile import compile_jetson
from converters.compilers.jetson.graphs import OnnxModel, read_onnx, write_onnx
from converters.compilers.jetson.opsets import within_opset
from converters.compilers.jetson.optimize import optimize_onnx
from converters.compilers.jetson.precision import WEIGHTED, opset, quantize_onnx, to_float16
from converters.compilers.jetson.releases import oldest_tensorrt, release_of
from converters.importers.keras import import_keras
from converters.models import CompiledModel, FloatModel
from converters.optimizers.recipe import FloatLayers, load_recipe
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError, ProfileError
from edge_sdk.profiles import load_profile, profile_slugs
from edge_sdk.settings import load_toml
from edge_sdk.tensors import FloatArray
from tests.conftest import REPOSITORY
from tests.device.onnx_models import onnx_model

EXAMPLE = REPOSITORY / "examples" / "ecg_beats"
JETSONS = [slug for slug in profile_slugs() if slug.startswith("jetson")]
NEWEST, NANO = "jetson-orin-nano", "jetson-nano"
needs_rtx = pytest.mark.skipif(not check.can_check(), reason=f"run: {check.HOW_TO_INSTALL}")


@pytest.fixture(scope="module")
def contract() -> ModelContract:
    return load_toml(EXAMPLE / "ecg_beats.toml", ModelContract, what="model contract")


@pytest.fixture(scope="module")
def beats(contract: ModelContract, tmp_path_factory: pytest.TempPathFactory) -> FloatModel:
    """The example, imported once, and its ONNX form made once."""
    model = import_keras(EXAMPLE / "ecg_beats.keras", contract, tmp_path_factory.mktemp("jetson"))
    data = model.to_onnx()
    return dataclasses.replace(model, to_onnx=lambda: data)


@pytest.fixture(scope="module")
def calibration(contract: ModelContract) -> WindowSet:
    return read_windows(EXAMPLE / "calibration.npz", contract, labelled=False)


@pytest.fixture(scope="module")
def evaluation(contract: ModelContract) -> WindowSet:
    return read_windows(EXAMPLE / "evaluation.npz", contract, labelled=True)


@pytest.fixture(scope="module")
def compiled(beats: FloatModel, calibration: WindowSet) -> dict[str, CompiledModel]:
    board = load_profile(NEWEST)
    recipes = {name: load_recipe(name) for name in ("float32", "float16", "int8")}
    return {name: compile_jetson(optimize_onnx(beats, recipe, calibration), board) for name, recipe in recipes.items()}


def error(compiled: CompiledModel, windows: WindowSet) -> float:
    truth = compiled.source.predict(windows.inputs)
    return float(np.abs(compiled.predict(windows.inputs) - truth).mean())


def conv_model(*, channels: int = 4, activation: str = "Relu") -> bytes:
    """A 1-D convolution, an activation, and a dense layer, channels first inside."""
    random = np.random.default_rng(2)
    weights = {
        "kernel": random.normal(size=(channels, 2, 3)).astype(np.float32)
        * np.array([1, 100])[[0, 1] * (channels // 2)][:, None, None].astype(np.float32),
        "dense": random.normal(size=(channels, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["waveform"], ["moved"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["moved", "kernel"], ["filtered"], name="conv", pads=[1, 1]),
        helper.make_node(activation, ["filtered"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["answer"], name="dense"),
    ]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, (1, 40, 2))],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, (1, 3))],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def recurrent_model() -> bytes:
    """A GRU over time, and a dense layer on its last state."""
    random, hidden = np.random.default_rng(6), 5
    weights = {
        "w": random.normal(size=(1, 3 * hidden, 2)),
        "r": random.normal(size=(1, 3 * hidden, hidden)),
        "dense": random.normal(size=(hidden, 3)),
    }
    nodes = [
        helper.make_node("Transpose", ["waveform"], ["moved"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["moved", "w", "r"], ["", "state"], hidden_size=hidden),
        helper.make_node("Squeeze", ["state", "axis"], ["last"]),
        helper.make_node("MatMul", ["last", "dense"], ["answer"], name="dense"),
    ]
    stored = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()]
    graph = helper.make_graph(
        nodes,
        "gru",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, (1, 40, 2))],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, (1, 3))],
        [*stored, numpy_helper.from_array(np.array([0], np.int64), "axis")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def waves(count: int = 60) -> dict[str, FloatArray]:
    return {"waveform": np.random.default_rng(4).normal(size=(count, 40, 2)).astype(np.float32)}


class TestTheExample:
    def test_float_answers_are_those_of_the_source(self, compiled: dict[str, CompiledModel], evaluation: WindowSet):
        answers = compiled["float32"].predict(evaluation.inputs)
        np.testing.assert_allclose(answers, compiled["float32"].source.predict(evaluation.inputs), rtol=1e-4, atol=1e-4)

    def test_precision_costs_what_it_should(self, compiled: dict[str, CompiledModel], evaluation: WindowSet):
        errors = [error(compiled[name], evaluation) for name in ("float32", "float16", "int8")]
        assert errors == sorted(errors)

    def test_int8_decides_as_the_float_model_does_but_for_one_window_in_a_hundred(
        self, compiled: dict[str, CompiledModel], evaluation: WindowSet
    ):
        first = compiled["int8"].source.predict(evaluation.inputs).argmax(axis=1)
        second = compiled["int8"].predict(evaluation.inputs).argmax(axis=1)
        assert np.mean(first != second) < 0.01

    def test_smaller_types_make_smaller_files(self, compiled: dict[str, CompiledModel]):
        assert len(compiled["float16"].data) < len(compiled["float32"].data)
        assert len(compiled["int8"].data) < len(compiled["float32"].data)

    @pytest.mark.parametrize("name", ["float32", "float16", "int8"])
    def test_the_bundle_describes_float_tensors_under_the_contracts_names(
        self, name: str, compiled: dict[str, CompiledModel], contract: ModelContract
    ):
        artifact = compiled[name].artifact
        assert artifact.backend == "tensorrt"
        assert artifact.path == "model.onnx"
        assert [spec.name for spec in artifact.inputs] == [item.name for item in contract.input.inputs]
        assert [spec.name for spec in artifact.outputs] == [contract.output.name]
        assert {(spec.dtype, spec.scale) for spec in (*artifact.inputs, *artifact.outputs)} == {("float32", 0.0)}

    def test_the_device_must_have_the_oldest_tensorrt_of_the_board(self, compiled: dict[str, CompiledModel]):
        assert compiled["int8"].artifact.minimum_runtime.startswith(oldest_tensorrt(load_profile(NEWEST)))

    def test_the_same_model_gives_the_same_bytes(
        self, beats: FloatModel, calibration: WindowSet, compiled: dict[str, CompiledModel]
    ):
        again = optimize_onnx(beats, load_recipe("int8"), calibration)
        assert compile_jetson(again, load_profile(NEWEST)).data == compiled["int8"].data

    @needs_rtx
    @pytest.mark.parametrize("name", ["float32", "float16", "int8"])
    def test_nvidias_parser_and_builder_take_it(self, name: str, compiled: dict[str, CompiledModel]):
        notes = " ".join(compiled[name].notes.values())
        assert "parsed and built it" in notes
        assert "SM86, the nearest it knows to the board's SM87" in notes

    def test_a_nano_gets_half_precision_in_the_opset_it_reads(self, beats: FloatModel, evaluation: WindowSet):
        compiled = compile_jetson(optimize_onnx(beats, load_recipe("float16"), None), load_profile(NANO))

        assert opset(read_onnx(compiled.data)) == release_of(oldest_tensorrt(load_profile(NANO))).max_opset
        np.testing.assert_array_equal(
            compiled.predict(evaluation.inputs).argmax(axis=1),
            compiled.source.predict(evaluation.inputs).argmax(axis=1),
        )

    def test_a_nano_has_no_int8(self, beats: FloatModel, calibration: WindowSet):
        optimized = optimize_onnx(beats, load_recipe("int8"), calibration)
        with pytest.raises(ConversionError, match=r"tensors in int8, which .*Jetson Nano.* does not take") as refusal:
            compile_jetson(optimized, load_profile(NANO))
        assert "float16" in refusal.value.remedy

    def test_layers_that_cost_most_stay_float(self, beats: FloatModel, calibration: WindowSet):
        whole = optimize_onnx(beats, load_recipe("int8"), calibration)
        mixed = optimize_onnx(beats, load_recipe("int8-mixed"), calibration)
        truth = beats.predict(calibration.inputs)
        errors = [
            float(np.mean((OnnxModel(model.data).predict(calibration.inputs) - truth) ** 2)) for model in (whole, mixed)
        ]
        assert errors[1] < errors[0]
        assert all(remark.startswith("kept in float32: ") for remark in mixed.remarks)

    @pytest.mark.parametrize("recipe", ["dynamic-int8", "int16x8"])
    def test_what_tensorrt_does_not_compute_is_refused(self, recipe: str, beats: FloatModel, calibration: WindowSet):
        with pytest.raises(ConversionError, match="is not for TensorRT") as refusal:
            optimize_onnx(beats, load_recipe(recipe), calibration)
        assert "int8" in refusal.value.remedy

    def test_int8_needs_windows(self, beats: FloatModel):
        with pytest.raises(ConversionError, match="needs calibration windows"):
            optimize_onnx(beats, load_recipe("int8"), None)

    def test_a_layer_that_is_not_there_is_named(self, beats: FloatModel, calibration: WindowSet):
        recipe = msgspec.structs.replace(load_recipe("int8"), float_layers=FloatLayers(names=("nothing*",)))
        with pytest.raises(ConversionError, match=r"no layer's name fits 'nothing\*'"):
            optimize_onnx(beats, recipe, calibration)

    def test_a_board_without_a_gpu_is_refused(self, beats: FloatModel):
        with pytest.raises(ConversionError, match="do not go together"):
            compile_jetson(optimize_onnx(beats, load_recipe("float32"), None), load_profile("raspberry-pi-5"))


class TestInt8:
    def test_only_what_tensorrt_takes_is_written(self):
        model = read_onnx(quantize_onnx(conv_model(), waves()))
        stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        pairs = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]

        assert pairs
        for node in pairs:
            zero = stored[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
        assert {item.domain for item in model.opset_import} == {""}

    def test_every_output_channel_of_weights_has_a_scale(self):
        model = read_onnx(quantize_onnx(conv_model(channels=6), waves()))
        stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        scales = [
            stored[node.input[1]]
            for node in model.graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] in stored
        ]
        assert sorted(scale.size for scale in scales) == [3, 6]

    def test_only_what_goes_into_weighted_operators_is_rounded(self):
        graph = read_onnx(quantize_onnx(conv_model(), waves())).graph
        readers = {name: node.op_type for node in graph.node for name in node.input}
        ends = {readers[node.output[0]] for node in graph.node if node.op_type == "DequantizeLinear"}
        assert ends <= set(WEIGHTED)

    def test_it_stays_near_the_float_model(self):
        windows, whole = waves(), conv_model()
        truth = OnnxModel(whole).predict(windows)
        rounded = OnnxModel(quantize_onnx(whole, windows)).predict(windows)
        assert 0 < np.abs(rounded - truth).max() < 0.05 * np.abs(truth).max()

    def test_a_model_without_weights_has_nothing_for_int8(self):
        graph = helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "bare",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        windows = {"x": np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)}
        with pytest.raises(ConversionError, match="nothing in the model can be int8"):
            quantize_onnx(model.SerializeToString(), windows)

    def test_an_opset_without_scales_per_channel_is_refused(self):
        old = within_opset(onnx_model(), 13)
        model = read_onnx(old)
        model.opset_import[0].version = 12
        with pytest.raises(ConversionError, match="has opset 12, and int8 needs 13"):
            quantize_onnx(model.SerializeToString(), waves())


class TestHalfPrecision:
    def test_weights_are_halved_and_the_ends_stay_float(self):
        half = read_onnx(to_float16(conv_model()))
        weights = {numpy_helper.to_array(each).dtype for each in half.graph.initializer}
        ends = {value.type.tensor_type.elem_type for value in (*half.graph.input, *half.graph.output)}
        assert np.dtype(np.float32) not in weights
        assert ends == {TensorProto.FLOAT}

    def test_nodes_stay_in_order(self):
        onnx.checker.check_model(read_onnx(to_float16(conv_model())))

    def test_a_weight_beyond_its_range_is_refused(self):
        model = read_onnx(conv_model())
        huge = np.full((4, 3), 1e6, np.float32)
        model.graph.initializer[1].CopyFrom(numpy_helper.from_array(huge, "dense"))
        with pytest.raises(ConversionError, match="'dense' has values beyond 65504"):
            to_float16(write_onnx(model))


class TestOpsets:
    def test_a_model_that_uses_nothing_new_is_declared_older(self):
        windows, whole = waves(), conv_model()
        older = within_opset(whole, 13)
        assert opset(read_onnx(older)) == 13
        np.testing.assert_array_equal(OnnxModel(older).predict(windows), OnnxModel(whole).predict(windows))

    def test_a_model_that_is_old_enough_is_left_alone(self):
        whole = conv_model()
        assert within_opset(whole, 17) is whole

    def test_an_operator_without_an_older_form_is_refused(self):
        with pytest.raises(ConversionError, match="reads ONNX up to opset 13") as refusal:
            within_opset(conv_model(activation="HardSwish"), 13)
        assert "newer JetPack" in refusal.value.remedy

    @pytest.mark.parametrize("slug", JETSONS)
    def test_every_jetson_says_what_its_tensorrt_takes(self, slug: str):
        assert release_of(oldest_tensorrt(load_profile(slug))).source.rpartition(": ")[2].startswith("https://")

    def test_a_tensorrt_between_two_releases_takes_what_the_older_takes(self):
        assert release_of("8.4") == release_of("8.2")
        assert release_of("10.3") == release_of("10.0")

    def test_a_tensorrt_nobody_described_is_refused(self):
        with pytest.raises(ConversionError, match=r"TensorRT 7\.1 is too old"):
            release_of("7.1")

    def test_a_board_without_tensorrt_has_none(self):
        with pytest.raises(ProfileError, match="does not say which TensorRT"):
            oldest_tensorrt(load_profile("raspberry-pi-5"))


def as_source(data: bytes, beats: FloatModel) -> FloatModel:
    return dataclasses.replace(beats, to_onnx=lambda: data)


def test_an_operator_that_the_boards_tensorrt_does_not_read_is_named(beats: FloatModel):
    source = as_source(conv_model(activation="Reciprocal"), beats)
    with pytest.raises(ConversionError, match=r"TensorRT 8\.2 of .*Jetson Nano.* does not read Reciprocal"):
        compile_jetson(optimize_onnx(source, load_recipe("float16"), None), load_profile(NANO))


def test_an_operator_that_onnx_does_not_have_is_named(beats: FloatModel):
    source = as_source(conv_model(activation="Erfc"), beats)
    with pytest.raises(ConversionError, match="ONNX has no operator Erfc"):
        optimize_onnx(source, load_recipe("float32"), None)


def test_what_stays_float_in_a_recurrent_model_is_said(beats: FloatModel):
    source = as_source(recurrent_model(), beats)
    optimized = optimize_onnx(source, load_recipe("int8"), WindowSet(inputs=waves()))

    assert any("float32 inside GRU" in remark for remark in optimized.remarks)
    assert "QuantizeLinear" in {node.op_type for node in read_onnx(optimized.data).graph.node}


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x00" * 64])
def test_what_is_no_onnx_is_refused(data: bytes):
    with pytest.raises(ConversionError, match="this is no ONNX model"):
        read_onnx(data)


class TestNvidiasCheck:
    @needs_rtx
    def test_what_the_parser_does_not_read_is_said_node_by_node(self):
        found = check.check_build(conv_model(activation="Unheard"), "8.7")
        (finding,) = check.findings(found)
        refused = check.refusal(found, "8.7")

        assert "Unheard" in finding.subject
        assert refused is not None
        assert refused.remedy

    @needs_rtx
    def test_a_model_is_built_for_the_boards_gpu_or_the_nearest(self):
        found = check.check_build(conv_model(), "8.9")
        assert found.capability == "SM89"
        assert found.engine_bytes > 0
        assert check.refusal(found, "8.9") is None

    @needs_rtx
    def test_a_builder_that_does_not_end_is_no_proof(self):
        found = check.check_build(recurrent_model(), "8.7", longest_s=5)
        said = check.notes(found, "8.7")["NVIDIA's parser and builder"]

        assert not found.ended
        assert found.layers > 0
        assert said.endswith("not checked")
        assert check.refusal(found, "8.7") is None

    @pytest.mark.parametrize(
        ("asked", "built"), [("8.7", "SM86"), ("8.6", "SM86"), ("7.2", "SM75"), ("5.3", "SM75"), ("9.0", "SM89")]
    )
    def test_the_nearest_gpu_is_the_last_before_it(self, asked: str, built: str):
        assert probe.nearest(asked, ["SM120", "SM75", "SM86", "SM89", "SM80"]) == built

    def test_a_crash_of_native_code_is_an_error(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        crashing = tmp_path / "python"
        crashing.write_text("#!/bin/sh\necho 'free(): invalid pointer' >&2\nkill -SEGV $$\n")
        crashing.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(crashing))

        with pytest.raises(ConversionError, match=r"died \(SIGSEGV\); it last said: free\(\): invalid pointer"):
            check.check_build(conv_model(), "8.7")

    def test_where_it_is_not_installed_the_report_says_not_checked(self):
        notes = check.notes(None, "8.7")
        (said,) = notes.values()
        assert said.startswith("not checked")
        assert "pip install" in said

    def test_a_builder_without_a_reason_is_an_error_all_the_same(self):
        silent = check.Probe(
            version="1", capability="SM86", errors=(), layers=3, engine_bytes=0, messages=(), ended=True
        )
        refused = check.refusal(silent, "8.7")
        assert refused is not None
        assert "no engine" in refused.problem

    def test_what_another_generations_builder_does_not_make_says_nothing_about_the_board(self):
        silent = check.Probe(
            version="1", capability="SM75", errors=(), layers=3, engine_bytes=0, messages=(), ended=True
        )
        assert check.refusal(silent, "5.3") is None


def test_the_boards_limits_come_before_the_builder(beats: FloatModel):
    board: Any = load_profile(NEWEST)
    tight = msgspec.structs.replace(board, memory_bytes=1)
    with pytest.raises(ConversionError, match="to spare") as refusal:
        compile_jetson(optimize_onnx(beats, load_recipe("float32"), None), tight)
    assert "a smaller model" in refusal.value.remedy


def test_the_check_is_a_program_of_its_own():
    told = subprocess.run(
        [sys.executable, "-m", "converters.compilers.jetson.probe"], capture_output=True, text=True, check=False
    )
    assert told.returncode != 0
