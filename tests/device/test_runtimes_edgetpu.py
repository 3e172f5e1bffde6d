from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest

from device_agents.runtimes import load_runtime
from device_agents.runtimes.edgetpu import LIBRARY, PATH_VARIABLE
from edge_sdk.errors import IncompatibleBundle, MissingDependency, Unavailable
from edge_sdk.manifest import Artifact
from tests.device.bundles import DATA, artifact, cases

SOURCE = Path(__file__).parent.parent / "fakes" / "edgetpu_delegate.c"
MODEL = (DATA / "beats_int8.tflite").read_bytes()


def edgetpu_artifact() -> Artifact:
    return msgspec.structs.replace(artifact("beats_int8"), backend="edgetpu")


def compiled(folder: Path, *options: str) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    library = folder / "libstandin.so"
    subprocess.run([compiler, "-shared", "-fPIC", *options, "-o", library, SOURCE], check=True)
    return library


def test_a_missing_libedgetpu_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "/nowhere/libedgetpu.so.1")
    with pytest.raises(MissingDependency, match="libedgetpu is not installed") as refusal:
        load_runtime(MODEL, edgetpu_artifact(), backend="auto", threads=1)
    assert "libedgetpu1-std" in refusal.value.remedy
    assert refusal.value.exit_code == MissingDependency.exit_code


def test_without_being_told_the_librarys_usual_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    with pytest.raises((MissingDependency, Unavailable), match=LIBRARY):
        load_runtime(MODEL, edgetpu_artifact(), backend="auto", threads=1)


def test_a_model_runs_through_the_delegate_with_the_answers_its_maker_saw(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(compiled(tmp_path)))

    runtime = load_runtime(MODEL, edgetpu_artifact(), backend="auto", threads=1)

    assert runtime.name == "edgetpu"
    for inputs, answer in cases("beats_int8"):
        np.testing.assert_array_equal(runtime.infer(inputs), answer)


def test_an_edge_tpu_that_does_not_answer_can_be_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(compiled(tmp_path, "-DNO_DEVICE")))

    with pytest.raises(Unavailable, match=r"no Edge TPU answers .*no device found") as refusal:
        load_runtime(MODEL, edgetpu_artifact(), backend="auto", threads=1)

    assert "lsusb" in refusal.value.remedy


def test_a_model_whose_operator_the_delegate_does_not_take_is_refused_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_data: Path
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(compiled(tmp_path)))
    model = (shared_data / "edgetpu" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite").read_bytes()

    with pytest.raises(IncompatibleBundle, match=r"on the Edge TPU, litert .* cannot load the model") as refusal:
        load_runtime(model, edgetpu_artifact(), backend="auto", threads=1)

    assert "libedgetpu that was built for litert" in refusal.value.remedy
