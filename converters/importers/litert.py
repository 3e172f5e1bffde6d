"""LiteRT models (``.tflite``) in float32, under the contract's names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from converters.flatbuffers import read_model
from converters.importers.damage import reading
from converters.importers.fitting import InputFit, Shape, choose_output, fit_inputs
from converters.importers.litert_files import Ends, check_float, ends_of, renamed
from converters.importers.litert_onnx import litert_to_onnx
from converters.importers.litert_sizes import fix_sizes
from converters.importers.tensorflow import components, first_line
from converters.models import FloatModel, Predict
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes, sha256_hex
from edge_sdk.tensors import FloatArray


def import_litert(path: Path, contract: ModelContract, workspace: Path) -> FloatModel:
    """Load a float32 LiteRT model and give its tensors the contract's names.

    Raises:
        ConversionError: Damaged, quantized, compiled for an accelerator, or not of the contract.
    """
    data = read_bytes(path, what="model")
    with reading(path, "a LiteRT model"):
        model = read_model(data)
        check_float(model)
        ends = ends_of(model)
        inputs, output = _inputs(ends, contract), _output(ends, contract)
        fix_sizes(model, data)
        flatbuffer = renamed(model, inputs, contract.output.name, output)
    return FloatModel(
        contract=contract,
        flatbuffer=flatbuffer,
        predict=_predict_with(data, inputs, output),
        to_onnx=lambda: litert_to_onnx(flatbuffer, contract, workspace),
        source_name=path.name,
        source_sha256=sha256_hex(data),
        source_bytes=len(data),
        components=components("ai-edge-litert", "numpy"),
    )


def _inputs(ends: Ends, contract: ModelContract) -> dict[str, int]:
    """Return the model's tensor for each of the contract's inputs."""
    fits = fit_inputs(_by_shape(ends.input_shapes, contract), contract)
    for fit in fits:
        _check_shape(fit)
    tensors = dict(zip(_by_shape(ends.input_shapes, contract), ends.inputs.values(), strict=True))
    return {fit.name: tensors[fit.source] for fit in fits}


def _by_shape(found: Mapping[str, Shape], contract: ModelContract) -> dict[str, Shape]:
    """Return the inputs under the contract's names, when nothing but their names differs and shapes tell them apart."""
    wanted = {item.shape: item.name for item in contract.input.inputs}
    shapes = [shape[1:] for shape in found.values()]
    if set(found) == set(wanted.values()) or len(wanted) != len(contract.input.inputs) or set(shapes) != set(wanted):
        return dict(found)
    return {wanted[tuple(size or 0 for size in shape[1:])]: shape for shape in found.values()}


def _check_shape(fit: InputFit) -> None:
    if fit.expanded != fit.shape or fit.remark:
        raise ConversionError(
            f"the model's input '{fit.source}' has shape {fit.shape[1:]}, and the contract orders its axes differently",
            remedy="give the contract the model's shape",
        )


def _output(ends: Ends, contract: ModelContract) -> int:
    name = choose_output(ends.output_shapes, contract.output)
    shape = ends.output_shapes[name]
    if shape[1:] != (contract.output.width,):
        raise ConversionError(
            f"the model's output '{name}' has shape {shape[1:]}", remedy=f"give it shape ({contract.output.width},)"
        )
    return ends.outputs[name]


def _predict_with(data: bytes, inputs: Mapping[str, int], output: int) -> Predict:
    """Return what asks LiteRT for the file as it was brought."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  # native, and only the child needs it

    try:
        interpreter = Interpreter(model_content=data, num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ConversionError(
            f"LiteRT does not run the model ({first_line(error)})", remedy="export it again with LiteRT's own operators"
        ) from error

    def predict(given: dict[str, FloatArray]) -> FloatArray:
        answers = []
        for row in range(len(next(iter(given.values())))):
            for name, index in inputs.items():
                interpreter.set_tensor(index, np.asarray(given[name][row : row + 1], np.float32))
            interpreter.invoke()
            answers.append(interpreter.get_tensor(output)[0])
        return np.asarray(answers, np.float32)

    return predict
