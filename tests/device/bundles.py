"""Signed bundles of the tiny models in ``data``, for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edge_sdk import codes
from edge_sdk.beats import FEATURE_NAMES
from edge_sdk.bundle import file_entries, write_bundle
from edge_sdk.contracts import BeatWindows, InputContract, Label, ModelInput, OutputContract
from edge_sdk.manifest import Artifact, Manifest, Provenance, VerificationReport
from edge_sdk.selftest import Array, Case, SelfTest, encode_self_test
from edge_sdk.signals import SignalFormat
from edge_sdk.signing import generate_keys, load_private_key
from edge_sdk.tensors import FloatArray, TensorSpec, dequantize, quantize

DATA = Path(__file__).parent / "data"
HARDWARE = "raspberry-pi-4b"
LABELS = tuple(Label(name=name, display=f"{name} beat", abnormal=name in "SVF") for name in ("N", "S", "V", "F", "Q"))
READS = InputContract(
    signal=SignalFormat(kind="ecg", unit="mV", channels=("MLII", "V1"), sample_rate_hz=360.0),
    windows=BeatWindows(before_s=0.2, after_s=0.3),
    inputs=(
        ModelInput(name="features", takes="features", shape=(len(FEATURE_NAMES),), features=FEATURE_NAMES),
        ModelInput(name="waveform", takes="waveform", shape=(90, 2)),
    ),
)
ANSWERS = OutputContract(name="answer", code=codes.BEAT_CLASS, labels=LABELS, activation="softmax")


@dataclass(frozen=True)
class SignedBundle:
    """A bundle and the key to trust for it."""

    path: Path
    trusted_key: Path


def interpreter(model: str) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    loaded = Interpreter(model_path=str(DATA / f"{model}.tflite"))
    loaded.allocate_tensors()
    return loaded


def artifact(model: str, *, minimum_runtime: str = "", targets: tuple[str, ...] = (HARDWARE,)) -> Artifact:
    loaded = interpreter(model)

    def specs(details: list[dict[str, Any]], names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                name=name,
                shape=tuple(int(size) for size in detail["shape"]),
                dtype=np.dtype(detail["dtype"]).name,
                scale=float(detail["quantization"][0]),
                zero_point=int(detail["quantization"][1]),
            )
            for name, detail in zip(names, details, strict=True)
        )

    inputs = loaded.get_input_details()
    return Artifact(
        path="model.tflite",
        backend="litert",
        targets=targets,
        inputs=specs(inputs, ("features", "waveform")[: len(inputs)]),
        outputs=specs(loaded.get_output_details(), ("answer",)),
        minimum_runtime=minimum_runtime,
    )


def cases(model: str, *, count: int = 3) -> list[tuple[dict[str, FloatArray], FloatArray]]:
    """Random inputs and what LiteRT itself answers to them."""
    loaded, described, random = interpreter(model), artifact(model), np.random.default_rng(3)
    found = []
    for _ in range(count):
        inputs = {spec.name: random.normal(size=spec.shape[1:]).astype(np.float32) for spec in described.inputs}
        for detail, spec in zip(loaded.get_input_details(), described.inputs, strict=True):
            loaded.set_tensor(detail["index"], quantize(inputs[spec.name][None], spec))
        loaded.invoke()
        (output,) = loaded.get_output_details()
        found.append((inputs, dequantize(loaded.get_tensor(output["index"])[0], described.outputs[0])))
    return found


def make_bundle(
    folder: Path,
    *,
    model: str = "beats_int8",
    expected: Callable[[FloatArray], FloatArray] = lambda answer: answer,
    **changes: Any,
) -> SignedBundle:
    """Sign a bundle; ``expected`` may spoil its self-test, ``changes`` replace fields of its manifest."""
    generate_keys(folder)
    test = SelfTest(
        cases=tuple(
            Case(
                inputs={name: Array.of(values) for name, values in inputs.items()}, expected=Array.of(expected(answer))
            )
            for inputs, answer in cases(model)
        ),
        tolerance=0.06,  # two steps of the int8 output
    )
    members = {"model.tflite": (DATA / f"{model}.tflite").read_bytes(), "selftest.msgpack": encode_self_test(test)}
    manifest = Manifest(
        schema_version="1.0",
        model_id="tiny-beats",
        model_version="1.2.3",
        title="Tiny heartbeat classifier",
        recipe="int8",
        artifacts=(artifact(model),),
        files=file_entries(members),
        input=READS,
        output=ANSWERS,
        verification=VerificationReport(
            windows=3,
            agreement=1.0,
            accuracy_float=-1.0,
            accuracy_compiled=-1.0,
            max_probability_error=0.0,
            budget_points=1.0,
        ),
        provenance=Provenance(source_name="make_models.py", source_sha256="0" * 64, components=()),
        self_test="selftest.msgpack",
    )
    path = folder / "tiny.edge"
    write_bundle(
        path, msgspec.structs.replace(manifest, **changes), members, key=load_private_key(folder / "signing.key")
    )
    return SignedBundle(path=path, trusted_key=folder / "signing.pub")
