from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from device_agents.model_store import ready_model
from device_agents.runtimes import LIBRARIES, load_runtime
from device_agents.runtimes.base import Way
from device_agents.runtimes.interpreter import InterpreterRuntime, Library
from edge_sdk.errors import IncompatibleBundle, MissingDependency
from tests.checks.runtimes import CHECKS, RuntimeUnderTest, opened, results
from tests.device.bundles import ANSWERS, DATA, HARDWARE, READS, SignedBundle, artifact, make_bundle
from tests.system.tflite import python_with_tflite, quiet

MODELS = ("beats_float", "beats_int8", "ecg_beats")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, ecg_bundle: Path) -> dict[str, SignedBundle]:
    tiny = {model: make_bundle(tmp_path_factory.mktemp(model), model=model) for model in MODELS[:2]}
    return {**tiny, "ecg_beats": SignedBundle(path=ecg_bundle, trusted_key=ecg_bundle.with_name("signing.pub"))}


@pytest.fixture(scope="module")
def tflite_python(request: pytest.FixtureRequest) -> Path:
    return python_with_tflite(request.config)


@pytest.fixture(scope="module")
def by_tflite(
    tflite_python: Path, bundles: dict[str, SignedBundle], request: pytest.FixtureRequest
) -> dict[str, dict[str, Any]]:
    """The same checklist, run where tflite-runtime is installed."""
    paths = [path for bundle in bundles.values() for path in (bundle.path, bundle.trusted_key)]
    command = [tflite_python, "-m", "tests.checks.runtimes", "tflite-runtime", *paths]
    run = subprocess.run(command, cwd=request.config.rootpath, env=quiet(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return dict(zip(bundles, json.loads(run.stdout), strict=True))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_litert(check: Callable[[RuntimeUnderTest], None], model: str, bundles: dict[str, SignedBundle]) -> None:
    check(opened("litert", bundles[model].path, bundles[model].trusted_key))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("check", [check.__name__ for check in CHECKS])
def test_tflite_runtime(check: str, model: str, by_tflite: dict[str, dict[str, Any]]) -> None:
    assert by_tflite[model]["faults"][check] == ""


@pytest.mark.parametrize("model", MODELS)
def test_both_runtimes_agree(
    model: str, bundles: dict[str, SignedBundle], by_tflite: dict[str, dict[str, Any]]
) -> None:
    tested = opened("litert", bundles[model].path, bundles[model].trusted_key)
    here, there = results(tested), by_tflite[model]
    step = tested.artifact.outputs[0].scale

    assert here["given"] == there["given"]  # our part, to the bit
    # Their kernels round differently: float ones in the last bits, int8 ones by a step.
    np.testing.assert_allclose(here["answers"], there["answers"], rtol=1e-5, atol=1.001 * step + 1e-6)
    assert np.argmax(here["answers"], axis=-1).tolist() == np.argmax(there["answers"], axis=-1).tolist()


def test_tflite_runtime_refuses_a_model_made_of_newer_operators(
    tflite_python: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    reads = msgspec.structs.replace(READS, inputs=READS.inputs[:1])
    bundle = make_bundle(tmp_path, model="newer_operator", input=reads)
    told = f"--bundle {bundle.path} --trust {bundle.trusted_key} --hardware {HARDWARE}".split()
    command = [tflite_python, "-m", "device_agents", "selftest", *told]

    run = subprocess.run(command, cwd=request.config.rootpath, env=quiet(), capture_output=True, text=True, check=False)

    assert run.returncode == IncompatibleBundle.exit_code
    assert run.stderr.splitlines()[-1].startswith("error: tflite-runtime 2.14.0 cannot load the model")
    assert "Traceback" not in run.stderr
    assert ready_model(bundle.path, trusted_keys=[bundle.trusted_key], hardware=HARDWARE).self_test_cases > 0


def test_a_model_that_needs_a_newer_runtime_is_refused_before_it_is_loaded_with_both_remedies() -> None:
    loaded: list[bytes] = []

    library = Library(
        name="tflite-runtime",
        version="2.14.0",
        litert_version="0",
        interpreter=lambda **told: loaded.append(told["model_content"]),
        load_delegate=lambda path: loaded.append(path.encode()),
    )

    with pytest.raises(IncompatibleBundle) as refusal:
        InterpreterRuntime(
            library, b"", msgspec.structs.replace(artifact("beats_int8"), minimum_runtime="1.1.1"), way=Way()
        )

    assert loaded == []
    assert refusal.value.problem == "the model needs LiteRT 1.1.1 or newer, and this machine has tflite-runtime 2.14.0"
    assert "pip install 'ai-edge-litert>=1.1.1'" in refusal.value.remedy
    assert "--recipe int8-compatible" in refusal.value.remedy


def test_the_preferred_runtime_is_the_first_that_is_installed() -> None:
    model = (DATA / "beats_int8.tflite").read_bytes()

    runtime = load_runtime(model, artifact("beats_int8"), backend="auto", threads=1)

    assert runtime.name == next(iter(LIBRARIES)) == "litert"


def test_a_chosen_runtime_that_is_missing_is_named_with_what_to_install() -> None:
    model = (DATA / "beats_int8.tflite").read_bytes()

    with pytest.raises(MissingDependency, match=r"tflite-runtime is not installed .* pip install .*device-tflite"):
        load_runtime(model, artifact("beats_int8"), backend="tflite-runtime", threads=1)


@pytest.mark.parametrize("answers", [lambda answer: answer + 1, lambda answer: answer * np.float32("nan")])
def test_a_model_that_fails_its_self_test_is_not_used(answers: Callable[[Any], Any], tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, expected=answers)

    with pytest.raises(IncompatibleBundle, match="fails its self-test on litert"):
        ready_model(bundle.path, trusted_keys=[bundle.trusted_key], hardware=HARDWARE)


CONTRADICTIONS = {
    "an input too few": {"input": msgspec.structs.replace(READS, inputs=READS.inputs[:1])},
    "a label too few": {"output": msgspec.structs.replace(ANSWERS, labels=ANSWERS.labels[1:])},
}


@pytest.mark.parametrize("changes", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_model_whose_contract_is_about_another_is_not_used(changes: dict[str, Any], tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, **changes)

    with pytest.raises(IncompatibleBundle, match=r"the model's tensors are .* and its contracts say"):
        ready_model(bundle.path, trusted_keys=[bundle.trusted_key], hardware=HARDWARE)
