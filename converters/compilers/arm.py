"""ARM CPUs: a LiteRT flatbuffer, checked against the board, with its tensors described."""

from __future__ import annotations

from converters.limits import check_limits, flatbuffer_needs
from converters.minimum_runtime import minimum_runtime, newer_operators
from converters.models import CompiledModel, OptimizedModel
from converters.tensors import Flatbuffer
from edge_sdk.manifest import Artifact
from edge_sdk.profiles import HardwareProfile

MODEL_PATH = "model.tflite"


def compile_arm(model: OptimizedModel, profile: HardwareProfile) -> CompiledModel:
    """Describe the flatbuffer's tensors under the contract's names and check that the board can run it.

    Raises:
        ConversionError: The flatbuffer does not load, or needs types or memory that the board does not have.
    """
    loaded = Flatbuffer(model.data)
    artifact = Artifact(
        path=MODEL_PATH,
        backend="litert",
        minimum_runtime=minimum_runtime(model.data),
        targets=(profile.slug,),
        inputs=loaded.inputs,
        outputs=(loaded.output,),
    )
    warned = check_limits(flatbuffer_needs(model.data), profile)
    return CompiledModel(
        source=model.source,
        recipe=model.recipe,
        artifact=artifact,
        data=model.data,
        predict=loaded.predict,
        reference=model.reference,
        host_flatbuffer=model.data,
        notes=_runtime_note(artifact.minimum_runtime, model.data),
        remarks=(*model.remarks, *warned),
    )


def _runtime_note(needs: str, flatbuffer: bytes) -> dict[str, str]:
    if not needs:
        return {"runtime": "any, from tflite-runtime 2.14 on"}
    return {"runtime": f"LiteRT {needs} or newer, for {', '.join(newer_operators(flatbuffer))}"}
