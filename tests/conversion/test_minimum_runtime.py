from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from converters.calibration import WindowSet
from converters.compilers.arm import compile_arm
from converters.flatbuffers import read_model, write_model
from converters.importers.pytorch import import_pytorch
from converters.minimum_runtime import _table, minimum_runtime, newer_operators
from converters.models import CompiledModel, FloatModel, OptimizedModel
from converters.optimizers.quantize import quantize_model
from converters.optimizers.recipe import load_recipe
from edge_sdk.errors import ConversionError
from edge_sdk.profiles import load_profile
from tests.checks.answers import answers
from tests.conversion.networks import NETWORKS, NOISE, windows
from tests.system.tflite import python_with_tflite, quiet

pytestmark = NOISE
RECIPES = ("float32", "float16", "dynamic-int8", "int8", "int8-compatible", "int16x8")
RUN = [
    (network, recipe)
    for network in ("convolution", "lstm", "dense over time", "attention")
    for recipe in RECIPES
    if (network, recipe) != ("attention", "int16x8")  # LiteRT has no kernel for its operators in int16
]
ANYWHERE = [pair for pair in RUN if pair[1] != "int16x8" or pair[0] == "convolution"]
NEWER = [pair for pair in RUN if pair not in ANYWHERE]
WINDOWS = 20


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], CompiledModel]:
    folder = tmp_path_factory.mktemp("networks")

    @functools.cache
    def imported(network: str) -> FloatModel:
        path = NETWORKS[network].export(Path(tempfile.mkdtemp(dir=folder)) / "net.pt2")
        return import_pytorch(path, NETWORKS[network].contract(), folder)

    @functools.cache
    def made(network: str, recipe: str) -> CompiledModel:
        calibration = WindowSet(inputs=windows(NETWORKS[network].reads, 100, seed=2))
        model = quantize_model(imported(network), load_recipe(recipe), calibration)
        return compile_arm(model, load_profile("raspberry-pi-4b"))

    return made


@pytest.fixture(scope="module")
def folder(compiled: Callable[[str, str], CompiledModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    for network, recipe in RUN:
        model, path = compiled(network, recipe), folder / f"{network} {recipe}.tflite"
        path.write_bytes(model.data)
        path.with_suffix(".json").write_bytes(msgspec.json.encode(model.artifact))
        np.savez(path.with_suffix(".npz"), **windows(NETWORKS[network].reads, WINDOWS, seed=3))
    return folder


@pytest.fixture(scope="module")
def on_litert(folder: Path) -> dict[str, dict[str, Any]]:
    return answers("litert", folder)


@pytest.fixture(scope="module")
def on_tflite(folder: Path, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    command = [python_with_tflite(request.config), "-m", "tests.checks.answers", "tflite-runtime", folder]
    run = subprocess.run(command, cwd=request.config.rootpath, env=quiet(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    told: dict[str, dict[str, Any]] = json.loads(run.stdout)
    return told


@pytest.mark.parametrize(("network", "recipe"), ANYWHERE)
def test_a_model_without_a_minimum_runtime_answers_on_tflite_runtime_as_it_does_on_litert(
    network: str,
    recipe: str,
    compiled: Callable[[str, str], CompiledModel],
    on_litert: dict[str, dict[str, Any]],
    on_tflite: dict[str, dict[str, Any]],
) -> None:
    name = f"{network} {recipe}"
    here, there = np.array(on_litert[name]["answers"]), np.array(on_tflite[name]["answers"])
    # Integer kernels round differently: attention's add up to three steps. Ranges found while running: two percent.
    step = compiled(network, recipe).artifact.outputs[0].scale
    allowed = 0.02 * np.ptp(here) if recipe == "dynamic-int8" else 3.001 * step + 1e-5

    assert compiled(network, recipe).artifact.minimum_runtime == on_tflite[name]["refused"] == ""
    np.testing.assert_allclose(here, there, rtol=0, atol=allowed)


@pytest.mark.parametrize(("network", "recipe"), NEWER)
def test_a_model_with_a_minimum_runtime_is_refused_by_the_agent_on_tflite_runtime_which_would_answer_otherwise(
    network: str,
    recipe: str,
    compiled: Callable[[str, str], CompiledModel],
    on_litert: dict[str, dict[str, Any]],
    on_tflite: dict[str, dict[str, Any]],
) -> None:
    name = f"{network} {recipe}"
    here, there = np.array(on_litert[name]["answers"]), np.array(on_tflite[name]["answers"])
    needs = compiled(network, recipe).artifact.minimum_runtime

    assert f"needs LiteRT {needs} or newer" in on_tflite[name]["refused"]
    assert on_litert[name]["refused"] == ""
    assert np.abs(here - there).max() > 0.1 * np.ptp(here)


def test_the_report_says_which_operators_ask_for_a_newer_runtime(
    compiled: Callable[[str, str], CompiledModel],
) -> None:
    model = compiled("dense over time", "int16x8")

    assert model.notes["runtime"] == "LiteRT 1.1.1 or newer, for FULLY_CONNECTED of several int16 vectors"


def test_scales_by_row_in_a_dense_layer_of_float_inputs_ask_for_a_newer_runtime_whatever_the_file_says(
    compiled: Callable[[str, str], CompiledModel], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from litert_quantizer import qtyping, quantizer

    model = compiled("dense over time", "float32")
    work = quantizer.Quantizer(model.data)
    work.add_dynamic_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, 8, qtyping.QuantGranularity.CHANNELWISE)
    flatbuffer = bytes(work.quantize().quantized_model)
    made = compile_arm(_optimized(model, flatbuffer), load_profile("raspberry-pi-4b"))
    (tmp_path / "net.tflite").write_bytes(flatbuffer)
    (tmp_path / "net.json").write_bytes(msgspec.json.encode(made.artifact))
    np.savez(tmp_path / "net.npz", **windows(NETWORKS["dense over time"].reads, WINDOWS, seed=3))
    command = [python_with_tflite(request.config), "-m", "tests.checks.answers", "tflite-runtime", tmp_path]

    told = subprocess.run(command, cwd=request.config.rootpath, env=quiet(), capture_output=True, text=True, check=True)

    here, there = np.array(answers("litert", tmp_path)["net"]["answers"]), json.loads(told.stdout)["net"]
    assert max(int(code.version) for code in read_model(flatbuffer).operatorCodes) < 12
    assert made.artifact.minimum_runtime == "1.0.0"
    assert newer_operators(flatbuffer) == ("FULLY_CONNECTED version 12",)
    assert "needs LiteRT 1.0.0 or newer" in there["refused"]
    assert np.abs(here - np.array(there["answers"])).max() > 0.05 * np.ptp(here)


def _optimized(model: CompiledModel, data: bytes) -> OptimizedModel:
    return OptimizedModel(source=model.source, recipe=model.recipe, form="litert", data=data, reference=data)


@pytest.mark.parametrize(("version", "needs"), [(10, ""), (12, "1.0.0"), (14, "2.1.0")])
def test_the_oldest_release_that_knows_a_version_is_named(
    version: int, needs: str, compiled: Callable[[str, str], CompiledModel]
) -> None:
    assert minimum_runtime(_asking_for(compiled("dense over time", "float32").data, version)) == needs


def test_a_version_that_no_release_knows_is_refused(compiled: Callable[[str, str], CompiledModel]) -> None:
    flatbuffer = _asking_for(compiled("dense over time", "float32").data, 99)

    with pytest.raises(ConversionError, match=r"no release of LiteRT up to .* has FULLY_CONNECTED version 99"):
        minimum_runtime(flatbuffer)


def _asking_for(flatbuffer: bytes, version: int) -> bytes:
    model = read_model(flatbuffer)
    model.operatorCodes[0].version = version
    return write_model(model)


def test_no_release_forgets_what_an_older_one_knew() -> None:
    for versions in _table().operators.values():
        assert len(versions) == len(_table().releases)
        assert list(versions) == sorted(versions)
