"""ONNX models, of any opset that onnxruntime runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.importers.damage import reading
from converters.importers.fitting import InputFit, Shape, choose_output, fit_inputs
from converters.importers.onnx_files import read_onnx
from converters.importers.onnx_forms import forms_of
from converters.importers.onnx_scaling import MOVED, predict_before, take_scalers
from converters.importers.onnx_simplify import with_sizes, without_zip_maps
from converters.importers.scaling import with_steps
from converters.importers.tensorflow import components, first_line
from converters.models import FloatModel, Predict
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

_FLOATS = "tensor(float)"


def import_onnx(path: Path, contract: ModelContract, workspace: Path) -> FloatModel:
    """Load an ONNX model and write its operators in TensorFlow. Channels may be first in it and last in the contract.

    A scaler at its input becomes a step of the contract's input; see `converters.importers.scaling`.

    Raises:
        ConversionError: Damaged, quantized, not of the contract, or with an operator that is not translated.
    """
    with reading(path, "an ONNX model"):
        source = read_onnx(path)
        plain = without_zip_maps(source.proto)
        session = _session(plain)
        fits = fit_inputs(_inputs(session), contract)
        output = choose_output(_outputs(session, fits), contract.output)
        fixed = with_sizes(plain, {fit.source: fit.shape for fit in fits}, output)
        scalers = take_scalers(fixed.graph, fits)
    for name, step in scalers.items():
        contract = with_steps(contract, name, [step])
    forms = forms_of(fixed, fits, contract, workspace)
    predict = _predict_with(session, fits, output, contract.output.width)
    return FloatModel(
        contract=contract,
        flatbuffer=forms.flatbuffer,
        predict=predict_before(predict, scalers) if scalers else predict,
        to_onnx=forms.to_onnx,
        unrolled=forms.unrolled,
        source_name=path.name,
        source_sha256=source.sha256,
        source_bytes=source.size_bytes,
        components=components("onnx", "onnxruntime", "tensorflow", "numpy"),
        remarks=(*(fit.remark for fit in fits if fit.remark), *([MOVED] if scalers else [])),
    )


def _session(proto: Any) -> Any:
    import onnxruntime  # noqa: PLC0415  # heavy, and only this function needs it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # onnxruntime has an error for each of its status codes
        raise _does_not_run(error) from error


def _does_not_run(error: Exception) -> ConversionError:
    return ConversionError(
        f"onnxruntime does not run the model ({first_line(error)})", remedy="export it again, with its weights"
    )


def _inputs(session: Any) -> dict[str, Shape]:
    for item in session.get_inputs():
        if item.type != _FLOATS:
            raise ConversionError(
                f"the model's input '{item.name}' is a {item.type}, and the device gives float32",
                remedy="export the model in float32",
            )
    return {item.name: _shape(item) for item in session.get_inputs()}


def _outputs(session: Any, fits: Sequence[InputFit]) -> dict[str, Shape]:
    """Return the shapes of the outputs of floats for one window: exporters need not write them down."""
    names = [item.name for item in session.get_outputs()]
    try:
        found = session.run(names, {fit.source: np.zeros(fit.shape, np.float32) for fit in fits})
    except Exception as error:  # onnxruntime has an error for each of its status codes
        raise _does_not_run(error) from error
    pairs = zip(names, found, strict=True)
    return {name: value.shape for name, value in pairs if getattr(value, "dtype", None) == np.float32}


def _shape(item: Any) -> Shape:
    return tuple(size if isinstance(size, int) else None for size in item.shape)


def _predict_with(session: Any, fits: Sequence[InputFit], output: str, width: int) -> Predict:
    """Return what asks onnxruntime, one window at a time, as a device does."""

    def predict(inputs: dict[str, FloatArray]) -> FloatArray:
        given = {fit.source: fit.given(inputs[fit.name]) for fit in fits}
        count = len(next(iter(given.values())))
        answers = np.empty((count, width), np.float32)
        for row in range(count):
            window = {name: values[row : row + 1] for name, values in given.items()}
            answers[row] = session.run([output], window)[0].reshape(width)
        return answers

    return predict
