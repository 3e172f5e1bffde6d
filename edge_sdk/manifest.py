"""The manifest: what a bundle says about itself. Everything in the bundle is named here with its digest."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from edge_sdk.contracts import InputContract, OutputContract
from edge_sdk.errors import IncompatibleBundle, ManifestError
from edge_sdk.tensors import TensorSpec

SCHEMA_MAJOR, SCHEMA_MINOR = 1, 0
_SEMANTIC_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One member of the bundle."""

    path: str
    sha256: str
    size_bytes: int


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled model and the boards it is for.

    Attributes:
        path: The member that holds it.
        backend: What runs it.
        minimum_runtime: Lowest version of that runtime; empty when any will do.
        targets: Slugs of hardware profiles.
        inputs: Stored form of each input, in the model's order.
        outputs: Stored form of each output.
    """

    path: str
    backend: Literal["litert", "edgetpu", "tensorrt"]
    targets: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    minimum_runtime: str = ""


class ClassFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one class fared on the evaluation windows (fractions)."""

    label: str
    windows: int
    sensitivity_float: float
    sensitivity_compiled: float
    ppv_float: float
    ppv_compiled: float


class VerificationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured when the compiled model was held against the float one.

    Attributes:
        windows: Number of real windows used.
        agreement: Fraction of windows on which both decide alike.
        accuracy_float: Fraction correct, float model; NaN-free: -1 when no labels were given.
        accuracy_compiled: Likewise, compiled model.
        max_probability_error: Largest difference of one probability.
        budget_points: Loss that was allowed, in percentage points.
        classes: Per class, when labels were given.
    """

    windows: int
    agreement: float
    accuracy_float: float
    accuracy_compiled: float
    max_probability_error: float
    budget_points: float
    classes: tuple[ClassFigures, ...] = ()


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One software component that made the model (bill of materials, package URL)."""

    name: str
    version: str
    purl: str


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where the model came from."""

    source_name: str
    source_sha256: str
    components: tuple[Component, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a device must know before it touches the model."""

    schema_version: str
    model_id: str
    model_version: str
    title: str
    recipe: str
    artifacts: tuple[Artifact, ...]
    files: tuple[FileEntry, ...]
    input: InputContract
    output: OutputContract
    verification: VerificationReport
    provenance: Provenance
    self_test: str

    def artifact_for(self, target: str) -> Artifact:
        """Return the compiled model for a board.

        Raises:
            IncompatibleBundle: None was compiled for it.
        """
        for artifact in self.artifacts:
            if target in artifact.targets:
                return artifact
        made_for = ", ".join(sorted({slug for artifact in self.artifacts for slug in artifact.targets}))
        raise IncompatibleBundle(
            f"bundle {self.model_id} {self.model_version} is for {made_for}, not for {target}",
            remedy=f"convert the model with --target {target}",
        )


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the exact bytes that are signed (fixed field order, indented for people)."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest whose signature has already been verified.

    Raises:
        ManifestError: Not a manifest of a schema version we understand.
    """
    try:
        version = msgspec.json.decode(data, type=_Versioned).schema_version
        _check_schema(version)
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"manifest cannot be read ({error})", remedy="seal the bundle again") from error
    _check_meaning(manifest)
    return manifest


def version_tuple(version: str) -> tuple[int, int, int]:
    """Return a semantic version as numbers that compare.

    Raises:
        ManifestError: Not ``MAJOR.MINOR.PATCH``.
    """
    match = _SEMANTIC_VERSION.fullmatch(version)
    if not match:
        raise ManifestError(f"version {version!r} is not MAJOR.MINOR.PATCH", remedy="write it like 1.0.0")
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


class _Versioned(msgspec.Struct):
    schema_version: str


def _check_schema(version: str) -> None:
    major = version.split(".", 1)[0]
    if major != str(SCHEMA_MAJOR):
        raise ManifestError(
            f"manifest has schema version {version}; this program reads {SCHEMA_MAJOR}.x",
            remedy="update the program, or convert the model again with this version",
        )


def _check_meaning(manifest: Manifest) -> None:
    version_tuple(manifest.model_version)
    named = {entry.path for entry in manifest.files}
    if len(named) != len(manifest.files):
        raise ManifestError("manifest lists a file twice")
    for path in (manifest.self_test, *(artifact.path for artifact in manifest.artifacts)):
        if path not in named:
            raise ManifestError(f"manifest uses {path!r} but does not list it")
    for entry in manifest.files:
        if not _SHA256.fullmatch(entry.sha256) or entry.size_bytes < 0:
            raise ManifestError(f"manifest lists {entry.path!r} with an impossible digest or size")
