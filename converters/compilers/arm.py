"""ARM CPUs: a LiteRT flatbuffer, checked against the board, with its tensors described."""

from __future__ import annotations

from converters.models import CompiledModel, OptimizedModel
from converters.tensors import Flatbuffer
from edge_sdk.errors import ConversionError
from edge_sdk.manifest import Artifact
from edge_sdk.profiles import HardwareProfile

MODEL_PATH = "model.tflite"


def compile_arm(model: OptimizedModel, profile: HardwareProfile) -> CompiledModel:
    """Describe the flatbuffer's tensors under the contract's names and check that the board takes their types.

    Raises:
        ConversionError: The flatbuffer does not load, or the board does not take one of its types.
    """
    loaded = Flatbuffer(model.data)
    artifact = Artifact(
        path=MODEL_PATH, backend="litert", targets=(profile.slug,), inputs=loaded.inputs, outputs=(loaded.output,)
    )
    for spec in (*artifact.inputs, *artifact.outputs):
        if spec.dtype not in profile.runtime.dtypes:
            raise ConversionError(
                f"tensor '{spec.name}' is {spec.dtype}, which {profile.name} does not take",
                remedy=f"use a recipe for {', '.join(profile.runtime.dtypes)}",
            )
    return CompiledModel(
        source=model.source,
        recipe=model.recipe,
        artifact=artifact,
        data=model.data,
        predict=loaded.predict,
        reference=model.reference,
        host_flatbuffer=model.data,
        remarks=model.remarks,
    )
