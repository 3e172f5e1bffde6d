"""The stages of a model's way. The types carry the order: nothing can be sealed that was not verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_sdk.contracts import ModelContract
from edge_sdk.manifest import Artifact, Component, VerificationReport
from edge_sdk.selftest import SelfTest
from edge_sdk.tensors import FloatArray

Predict = Callable[[dict[str, FloatArray]], FloatArray]


@dataclass(frozen=True, kw_only=True)
class FloatModel:
    """A source model, loaded.

    Attributes:
        contract: What it reads and what its answers mean.
        saved_model: Folder of its TensorFlow SavedModel, fixed at batch 1.
        predict: Maps prepared inputs by name, each (n, …), to outputs (n, labels), in float32.
        source_name: File name it came from.
        source_sha256: Digest of that file.
        source_bytes: Size of that file.
        components: Software that read it.
    """

    contract: ModelContract
    saved_model: str
    predict: Predict
    source_name: str
    source_sha256: str
    source_bytes: int
    components: tuple[Component, ...]


@dataclass(frozen=True, kw_only=True)
class OptimizedModel:
    """A model in its compact form, a LiteRT flatbuffer, not yet for any board."""

    source: FloatModel
    recipe: str
    flatbuffer: bytes


@dataclass(frozen=True, kw_only=True)
class CompiledModel:
    """A model in the form that one board runs."""

    source: FloatModel
    recipe: str
    artifact: Artifact
    data: bytes
    predict: Predict


@dataclass(frozen=True, kw_only=True)
class VerifiedModel:
    """A compiled model that kept its accuracy budget. Only `converters.verification.verify` makes one."""

    compiled: CompiledModel
    report: VerificationReport
    self_test: SelfTest
