"""Sealing: a verified model and all that is known about it, signed, in one file."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from converters.importers.tensorflow import components
from converters.models import VerifiedModel
from edge_sdk.bundle import file_entries, write_bundle
from edge_sdk.manifest import SCHEMA_MAJOR, SCHEMA_MINOR, Component, Manifest, Provenance
from edge_sdk.profiles import Backend
from edge_sdk.selftest import encode_self_test

SELF_TEST_PATH = "selftest.msgpack"
# What made and proved the model, besides what read it.
_TOOLS: dict[Backend, tuple[str, ...]] = {
    "litert": ("tensorflow", "litert-quantizer", "ai-edge-litert", "wearable-edge-sdk"),
    "edgetpu": ("tensorflow", "litert-quantizer", "ai-edge-litert", "wearable-edge-sdk"),
    "tensorrt": ("onnx", "onnxruntime", "ai-edge-litert", "wearable-edge-sdk"),
}


def seal(model: VerifiedModel, path: Path, *, key: Ed25519PrivateKey) -> Manifest:
    """Write the signed bundle and return its manifest. The same inputs give the same bytes."""
    compiled, source = model.compiled, model.compiled.source
    members = {compiled.artifact.path: compiled.data, SELF_TEST_PATH: encode_self_test(model.self_test)}
    manifest = Manifest(
        schema_version=f"{SCHEMA_MAJOR}.{SCHEMA_MINOR}",
        model_id=source.contract.id,
        model_version=source.contract.version,
        title=source.contract.title,
        recipe=compiled.recipe.name,
        artifacts=(compiled.artifact,),
        files=file_entries(members),
        input=source.contract.input,
        output=source.contract.output,
        verification=model.report,
        provenance=Provenance(
            source_name=source.source_name,
            source_sha256=source.source_sha256,
            components=_unique((*source.components, *components(*_TOOLS[compiled.artifact.backend]))),
        ),
        self_test=SELF_TEST_PATH,
    )
    write_bundle(path, manifest, members, key=key)
    return manifest


def _unique(parts: tuple[Component, ...]) -> tuple[Component, ...]:
    return tuple({part.name: part for part in parts}.values())
