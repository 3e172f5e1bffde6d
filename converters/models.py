"""The stages of a model's way. The types carry the order: nothing can be sealed that was not verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from converters.optimizers.recipe import Recipe
from edge_sdk.contracts import ModelContract
from edge_sdk.manifest import Artifact, Component, VerificationReport
from edge_sdk.selftest import SelfTest
from edge_sdk.tensors import FloatArray

Predict = Callable[[dict[str, FloatArray]], FloatArray]
Form = Literal["litert", "onnx"]


@dataclass(frozen=True, kw_only=True)
class FloatModel:
    """A source model, loaded, and its form in the middle: a float32 LiteRT flatbuffer.

    Attributes:
        contract: What it reads and what its answers mean.
        flatbuffer: float32, batch 1, signature ``serve``, its tensors under the contract's names.
        predict: The source framework itself: maps prepared inputs by name, each (n, …), to outputs (n, width), float32.
        to_onnx: Makes its float32 ONNX form, batch 1, under the contract's names.
        unrolled: Makes the flatbuffer without loops, for quantizers that cannot see into them; ``None`` if there is
            none, or none is needed.
        trainable: The Keras model or the PyTorch module, where it can be trained further.
        source_name: File name it came from.
        source_sha256: Digest of that file.
        source_bytes: Size of that file.
        components: Software that read it.
        remarks: What a reader of the report should know about the import.
    """

    contract: ModelContract
    flatbuffer: bytes
    predict: Predict
    to_onnx: Callable[[], bytes]
    unrolled: Callable[[], bytes] | None = None
    trainable: Any = None
    source_name: str
    source_sha256: str
    source_bytes: int
    components: tuple[Component, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OptimizedModel:
    """A model in its compact form, not yet for any board.

    Attributes:
        source: What it was made of.
        recipe: How.
        form: LiteRT flatbuffer or ONNX.
        data: The file.
        reference: The float32 flatbuffer it was made of: of the source, or of what training made of it.
        remarks: What the optimizer did that the recipe does not say.
    """

    source: FloatModel
    recipe: Recipe
    form: Form
    data: bytes
    reference: bytes
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a compiler says about one part of a model.

    Attributes:
        subject: The part, e.g. ``3 CONV_2D``.
        verdict: In a word or two, e.g. ``on CPU``.
        reason: Why.
        advice: What to change; empty when nothing need be.
    """

    subject: str
    verdict: str
    reason: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class CompiledModel:
    """A model in the form that one board runs.

    Attributes:
        source: What it was made of.
        recipe: How.
        artifact: How the bundle describes it.
        data: The file.
        predict: The file itself, run here: as `FloatModel.predict`.
        reference: As `OptimizedModel.reference`.
        host_flatbuffer: A flatbuffer that computes the same on a workstation, for looking inside; ``None`` for ONNX.
        findings: Part by part, what the compiler says.
        notes: Facts for the report, e.g. the compiler's version.
        remarks: What the stages before it had to say.
    """

    source: FloatModel
    recipe: Recipe
    artifact: Artifact
    data: bytes
    predict: Predict
    reference: bytes
    host_flatbuffer: bytes | None = None
    findings: tuple[Finding, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VerifiedModel:
    """A compiled model that kept its accuracy budget. Only `converters.verification.verify` makes one."""

    compiled: CompiledModel
    report: VerificationReport
    self_test: SelfTest
