from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest

from device_agents.runtimes import load_runtime
from device_agents.runtimes.base import Runtime
from device_agents.runtimes.cuda import CudaGpu
from device_agents.runtimes.engine_builder import build_engine, creation_flags, precision_flags
from device_agents.runtimes.engine_cache import EngineCache, EngineKey
from device_agents.runtimes.tensorrt import load
from edge_sdk.errors import IncompatibleBundle, MissingDependency, Unavailable
from edge_sdk.manifest import Artifact
from edge_sdk.selftest import Array, Case, SelfTest
from edge_sdk.tensors import FloatArray
from tests.checks import runtimes as checks
from tests.device.onnx_models import INPUTS, onnx_artifact, onnx_model
from tests.fakes.tensorrt import FakeTensorRt, HostGpu

GENERATIONS = {"TensorRT 8.2": ("8.2.1", True), "TensorRT 10": ("10.3.0", False)}
GPUS = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu")
KEY = EngineKey(model_sha256="a" * 64, tensorrt="10.3.0", gpu="sm87x8")
NEEDS_LITERT = checks.refuses_a_model_that_needs_a_newer_runtime


def windows(count: int = 3) -> list[dict[str, FloatArray]]:
    random = np.random.default_rng(5)
    return [
        {name: random.normal(size=shape).astype(np.float32) for name, shape in INPUTS.items()} for _ in range(count)
    ]


class OnTensorRt:
    """A `tests.checks.runtimes.RuntimeUnderTest` on a TensorRT without a GPU."""

    backend = "tensorrt"

    def __init__(self, version: str, *, old: bool) -> None:
        self.module, self.model = FakeTensorRt(version, old=old), onnx_model()
        self.artifact, self.inputs = onnx_artifact(minimum_runtime=version), windows()
        self.bundle = SimpleNamespace(self_test=SelfTest(cases=tuple(map(self._case, self.inputs)), tolerance=1e-6))

    def _case(self, inputs: dict[str, FloatArray]) -> Case:
        session = onnxruntime.InferenceSession(self.model, providers=["CPUExecutionProvider"])
        (answer,) = session.run(None, {name: values[None] for name, values in inputs.items()})
        return Case(inputs={name: Array.of(values) for name, values in inputs.items()}, expected=Array.of(answer[0]))

    def load(self, model: bytes | None = None, **changes: Any) -> Runtime:
        content = self.model if model is None else model
        artifact = msgspec.structs.replace(self.artifact, **changes)
        return load(self.module, HostGpu(), content, artifact, cache=None)


@pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)
@pytest.mark.parametrize("check", [one for one in checks.CHECKS if one is not NEEDS_LITERT], ids=lambda c: c.__name__)
def test_tensorrt_of_both_generations(check: Callable[[Any], None], generation: tuple[str, bool]):
    version, old = generation
    check(OnTensorRt(version, old=old))


def started(module: FakeTensorRt, cache: Path, *, gpu: str = "sm87x8", model: bytes | None = None) -> Runtime:
    return load(module, HostGpu(gpu), model or onnx_model(), onnx_artifact(), cache=cache)


def test_a_model_that_needs_a_newer_tensorrt_is_refused():
    with pytest.raises(IncompatibleBundle, match=r"needs TensorRT 10\.3\.0 or newer, and this machine has 8\.6\.1"):
        load(FakeTensorRt("8.6.1"), HostGpu(), onnx_model(), onnx_artifact(), cache=None)


def test_an_engine_is_built_once(tmp_path: Path):
    module = FakeTensorRt()
    first, second = started(module, tmp_path), started(module, tmp_path)

    assert module.builds == 1
    np.testing.assert_array_equal(first.infer(windows()[0]), second.infer(windows()[0]))


CHANGES = {
    "TensorRT": {"module": FakeTensorRt("10.7.0")},
    "the GPU": {"gpu": "sm87x16"},
    "the model": {"model": onnx_model(seed=1)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_engine_is_built_again_for_another(change: dict[str, Any], tmp_path: Path):
    started(FakeTensorRt(), tmp_path)
    module = change.get("module", FakeTensorRt())
    before = module.builds

    started(**{"module": module, "cache": tmp_path, **change})

    assert module.builds == before + 1


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:-1] + b"x", lambda data: data[:0]])
def test_a_damaged_engine_is_built_again(
    spoil: Callable[[bytes], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    module = FakeTensorRt()
    started(module, tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(spoil(whole))

    with caplog.at_level(logging.WARNING):
        started(module, tmp_path)

    assert module.builds == 2
    assert "damaged" in caplog.text
    assert kept.read_bytes() == whole


def test_an_engine_that_tensorrt_no_longer_loads_is_built_again(tmp_path: Path):
    module = FakeTensorRt()
    started(module, tmp_path)
    (kept,) = tmp_path.iterdir()
    head, _, _ = kept.read_bytes().partition(b"\n")
    key = msgspec.json.decode(head)["key"]
    EngineCache(tmp_path).put(EngineKey(**key), b"of a driver that was replaced")

    runtime = started(module, tmp_path)

    assert module.builds == 2
    assert np.isfinite(runtime.infer(windows()[0])).all()


def test_an_agent_without_room_for_an_engine_runs_all_the_same(tmp_path: Path):
    occupied = tmp_path / "engines"
    occupied.touch()

    assert np.isfinite(started(FakeTensorRt(), occupied).infer(windows()[0])).all()


def test_what_an_engine_is_kept_for_is_exactly_what_it_is_given_for(tmp_path: Path):
    cache = EngineCache(tmp_path / "engines")
    cache.put(KEY, b"engine")

    assert cache.get(KEY) == b"engine"
    for field in ("model_sha256", "tensorrt", "gpu"):
        assert cache.get(msgspec.structs.replace(KEY, **{field: "other"})) is None


def test_an_engine_under_anothers_name_is_not_given(tmp_path: Path):
    cache, other = EngineCache(tmp_path), msgspec.structs.replace(KEY, tensorrt="8.5.2")
    cache.put(other, b"old")
    (old,) = tmp_path.iterdir()
    content = old.read_bytes()
    cache.put(KEY, b"new")
    (new,) = tmp_path.iterdir()
    new.write_bytes(content)

    assert cache.get(KEY) is None


def test_engines_of_a_model_do_not_pile_up(tmp_path: Path):
    cache = EngineCache(tmp_path)
    for version in ("10.3.0", "10.4.0", "10.5.0"):
        cache.put(msgspec.structs.replace(KEY, tensorrt=version), version.encode())

    assert len(list(tmp_path.iterdir())) == 1


def test_engines_of_models_long_gone_are_forgotten(tmp_path: Path):
    cache = EngineCache(tmp_path)
    keys = [msgspec.structs.replace(KEY, model_sha256=f"{number:064x}"[::-1]) for number in range(9)]
    for key in keys:
        cache.put(key, b"engine")

    assert cache.get(keys[-1]) == b"engine"
    assert cache.get(keys[0]) is None
    assert 1 < len(list(tmp_path.iterdir())) < len(keys)


def test_an_engine_is_the_agents_alone(tmp_path: Path):
    EngineCache(tmp_path).put(KEY, b"engine")
    (kept,) = tmp_path.iterdir()

    assert kept.stat().st_mode & 0o077 == 0


def test_half_precision_is_told_to_an_old_tensorrt_and_written_in_the_file_for_a_new_one():
    half = onnx_model(dtype=np.float16)
    old, new = FakeTensorRt("8.2.1", old=True), FakeTensorRt()

    build_engine(old, half, version="8.2.1")
    build_engine(new, half, version="10.3.0")

    assert old.flags == ["FP16", "OBEY"]
    assert new.flags == []


def test_float_models_need_no_flag():
    old = FakeTensorRt("8.2.1", old=True)
    build_engine(old, onnx_model(), version="8.2.1")
    assert old.flags == []


def test_integers_have_their_flag():
    assert precision_flags(frozenset({"int8"})) == ("INT8",)


def test_without_tensorrt_it_is_said_what_to_install():
    with pytest.raises(MissingDependency, match=r"TensorRT is not installed .* apt-get install nvidia-jetpack"):
        load_runtime(b"", onnx_artifact(), backend="auto", threads=1)


@pytest.mark.skipif(any(map(os.path.exists, GPUS)), reason="this machine has a GPU")
def test_without_a_gpu_it_is_said_what_is_missing():
    with pytest.raises((MissingDependency, Unavailable), match=r"libcudart|the GPU refuses") as refusal:
        CudaGpu()
    assert refusal.value.remedy


@pytest.fixture(scope="module")
def rtx() -> Any:
    """TensorRT-RTX, a sibling of JetPack's TensorRT: it builds without a GPU, and cannot run there what it builds."""
    return pytest.importorskip("tensorrt_rtx_bindings", reason="pip install 'wearable-edge-sdk[jetson-check]'")


def really_built(rtx: Any, model: bytes) -> bytes:
    def name_a_gpu(config: Any) -> None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(rtx.ComputeCapability.SM86, 0)

    return build_engine(rtx, model, version=rtx.__version__, configure=name_a_gpu)


def test_a_real_engine_is_kept_and_given_back_whole(rtx: Any, tmp_path: Path):
    engine, key = really_built(rtx, onnx_model()), msgspec.structs.replace(KEY, tensorrt=rtx.__version__)
    EngineCache(tmp_path).put(key, engine)

    assert len(engine) > len(onnx_model())
    assert EngineCache(tmp_path).get(key) == engine


def test_a_real_engine_with_one_bit_flipped_is_not_given(rtx: Any, tmp_path: Path):
    cache, engine = EngineCache(tmp_path), really_built(rtx, onnx_model())
    cache.put(KEY, engine)
    (kept,) = tmp_path.iterdir()
    content = bytearray(kept.read_bytes())
    content[-len(engine) // 2] ^= 1
    kept.write_bytes(bytes(content))

    assert cache.get(KEY) is None


def test_half_precision_builds_with_nvidias_own_builder(rtx: Any):
    assert really_built(rtx, onnx_model(dtype=np.float16))


def test_nvidias_own_parser_refuses_what_is_no_model(rtx: Any):
    with pytest.raises(IncompatibleBundle, match="cannot load the model"):
        really_built(rtx, b"not a model")


def test_networks_of_a_new_tensorrt_are_strongly_typed(rtx: Any):
    known = rtx.NetworkDefinitionCreationFlag
    assert creation_flags(known) == 1 << int(known.STRONGLY_TYPED)


def test_an_artifact_names_its_tensors_as_the_engine_does():
    artifact: Artifact = onnx_artifact()
    renamed = msgspec.structs.replace(artifact.outputs[0], name="other")

    with pytest.raises(IncompatibleBundle, match="its manifest says"):
        load(FakeTensorRt(), HostGpu(), onnx_model(), msgspec.structs.replace(artifact, outputs=(renamed,)), cache=None)
