"""ARM CPUs: a LiteRT flatbuffer, checked against the board, with its tensors described."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.models import CompiledModel, OptimizedModel, Predict
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from edge_sdk.manifest import Artifact
from edge_sdk.profiles import HardwareProfile
from edge_sdk.tensors import FloatArray, TensorSpec, dequantize, quantize

MODEL_PATH = "model.tflite"


def compile_arm(model: OptimizedModel, profile: HardwareProfile) -> CompiledModel:
    """Describe the flatbuffer's tensors under the contract's names and check that the board takes their types.

    Raises:
        ConversionError: The flatbuffer does not load, or the board does not take one of its types.
    """
    interpreter = _interpreter(model.flatbuffer)
    artifact = _artifact(interpreter, profile)
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
        data=model.flatbuffer,
        predict=_predictor(interpreter, artifact, model.source.contract),
    )


def _interpreter(flatbuffer: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  # native, and only the child process needs it

    try:
        interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ConversionError(
            f"the converted model does not load in LiteRT ({error})", remedy="try another recipe"
        ) from error
    return interpreter


def _artifact(interpreter: Any, profile: HardwareProfile) -> Artifact:
    names = interpreter.get_signature_runner("serve")
    inputs = {detail["index"]: name for name, detail in names.get_input_details().items()}
    outputs = {detail["index"]: name for name, detail in names.get_output_details().items()}
    return Artifact(
        path=MODEL_PATH,
        backend="litert",
        targets=(profile.slug,),
        inputs=tuple(_spec(detail, inputs) for detail in interpreter.get_input_details()),
        outputs=tuple(_spec(detail, outputs) for detail in interpreter.get_output_details()),
    )


def _spec(detail: dict[str, Any], names: dict[int, str]) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    return TensorSpec(
        name=names[detail["index"]],
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _predictor(interpreter: Any, artifact: Artifact, contract: ModelContract) -> Predict:
    inputs = [(d["index"], spec) for d, spec in zip(interpreter.get_input_details(), artifact.inputs, strict=True)]
    (output,) = artifact.outputs
    output_index = interpreter.get_output_details()[0]["index"]

    def predict(windows: dict[str, FloatArray]) -> FloatArray:
        count = len(next(iter(windows.values())))
        answers = np.empty((count, len(contract.output.labels)), np.float32)
        for row in range(count):
            for index, spec in inputs:
                interpreter.set_tensor(index, quantize(windows[spec.name][row : row + 1], spec))
            interpreter.invoke()
            answers[row] = dequantize(interpreter.get_tensor(output_index), output)[0]
        return answers

    return predict
