"""The manifest: what a bundle says about itself. Everything in the bundle is named here with its digest."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from edge_sdk.contracts import InputContract, OutputContract
from edge_sdk.errors import IncompatibleBundle, ManifestError
from edge_sdk.tensors import TensorSpec

SCHEMA_MAJOR, SCHEMA_MINOR = 1, 2
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


class QuantityFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one estimated quantity fared on the evaluation windows.

    Errors are estimate minus truth, in the quantity's unit.

    Attributes:
        name: The quantity.
        unit: Its UCUM unit.
        windows: Real windows used.
        mean_error_float: Mean of the errors, float model.
        mean_error_compiled: Likewise, compiled model.
        mean_absolute_error_float: Mean of their sizes, float model.
        mean_absolute_error_compiled: Likewise, compiled model.
        error_deviation_float: Standard deviation of the errors, float model.
        error_deviation_compiled: Likewise, compiled model.
        r_squared_float: Fraction of the truth's variance that is explained, float model.
        r_squared_compiled: Likewise, compiled model.
        max_difference: Largest difference between the two models.
    """

    name: str
    unit: str
    windows: int
    mean_error_float: float
    mean_error_compiled: float
    mean_absolute_error_float: float
    mean_absolute_error_compiled: float
    error_deviation_float: float
    error_deviation_compiled: float
    r_squared_float: float
    r_squared_compiled: float
    max_difference: float


class GroupFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How the windows of one group of people fared.

    Attributes:
        attribute: What tells the groups apart, e.g. ``sex``.
        value: Which group.
        windows: Windows of that group.
        agreement: Fraction of them on which both models decide alike.
        lost_points: Largest loss among the figures with enough windows to judge, in percentage points.
        lost_windows: How many windows that is, about; one may always change.
        lost: Which figure that is; empty when none had enough.
    """

    attribute: str
    value: str
    windows: int
    agreement: float
    lost_points: float
    lost_windows: float
    lost: str


class LayerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one tensor's signal is left after quantization.

    Attributes:
        name: The tensor.
        operator: What computes it.
        sqnr_db: Signal-to-quantization-noise ratio on real windows, decibels.
    """

    name: str
    operator: str
    sqnr_db: float


class VerificationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured when the compiled model was held against the float one.

    Attributes:
        windows: Number of real windows used.
        agreement: Fraction of windows on which both decide alike; for quantities, on which no estimate moved by more
            than a twentieth of the spread of the float model's estimates.
        accuracy_float: Fraction correct, float model; -1 when it estimates quantities or no labels were given.
        accuracy_compiled: Likewise, compiled model.
        max_probability_error: Largest difference of one probability.
        budget_points: Loss that was allowed, in percentage points.
        classes: Per class, of a classifier.
        quantities: Per quantity, of a regression.
        groups: Per group of people, when the windows tell them.
        layers: The tensors that lost most, worst first.
        parity_error: Largest difference between the source framework's outputs and the float form's, before compiling.
        calibration_error_float: Expected calibration error of the probabilities, float model; -1 for quantities.
        calibration_error_compiled: Likewise, compiled model.
        calibration_error_unscaled: Likewise, compiled model without the contract's temperature; -1 when it has none.
    """

    windows: int
    agreement: float
    accuracy_float: float
    accuracy_compiled: float
    max_probability_error: float
    budget_points: float
    classes: tuple[ClassFigures, ...] = ()
    quantities: tuple[QuantityFigures, ...] = ()
    groups: tuple[GroupFigures, ...] = ()
    layers: tuple[LayerFigures, ...] = ()
    parity_error: float = 0.0
    calibration_error_float: float = -1.0
    calibration_error_compiled: float = -1.0
    calibration_error_unscaled: float = -1.0


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
            remedy=f"convert the model with --profile {target}",
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
