"""Bringing a model down to the opset that a board's TensorRT reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.compilers.jetson.graphs import OnnxModel, read_onnx, write_onnx
from converters.compilers.jetson.precision import opset
from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

_WINDOWS = 4
# Kernels for an older opset may round half precision and int8 otherwise; another meaning differs by far more.
# Verification on real windows follows in any case.
_ROUNDING = 0.05


def within_opset(data: bytes, limit: int) -> bytes:
    """Return the same model in an opset that is not newer than the limit.

    Most newer operators differ from their older forms in types a model does not use. So it is only declared older, and
    kept if ONNX's checker takes it and it answers random windows as before, up to rounding. If not, ONNX's own
    converter takes it down step by step until it does.

    Raises:
        ConversionError: An operator has no older form; says which.
    """
    model = read_onnx(data)
    if opset(model) <= limit:
        return data
    expected = _answers(data)
    for step in range(opset(model) - 1, limit - 1, -1):
        declared = _declared(model, limit)
        if _is_same(declared, expected):
            return declared
        model = _converted(model, step, limit)
    return write_onnx(model)


def _declared(model: Any, version: int) -> bytes:
    import onnx  # noqa: PLC0415  # only the workstation has it

    older = onnx.ModelProto()
    older.CopyFrom(model)
    for item in older.opset_import:
        item.version = version if item.domain in {"", "ai.onnx"} else item.version
    older.ir_version = min(older.ir_version, onnx.helper.find_min_ir_version_for(older.opset_import, True))
    return write_onnx(older)


def _is_same(data: bytes, expected: FloatArray) -> bool:
    import onnx  # noqa: PLC0415

    try:
        onnx.checker.check_model(read_onnx(data))
        return bool(np.abs(_answers(data) - expected).max() <= _ROUNDING * np.abs(expected).max())
    except (onnx.checker.ValidationError, ConversionError):
        return False


def _answers(data: bytes) -> FloatArray:
    loaded, random = OnnxModel(data), np.random.default_rng(0)
    shapes = {spec.name: (_WINDOWS, *spec.shape[1:]) for spec in loaded.inputs}
    return loaded.predict({name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


def _converted(model: Any, version: int, limit: int) -> Any:
    from onnx import version_converter  # noqa: PLC0415

    try:
        return version_converter.convert_version(model, version)
    except Exception as error:
        raise ConversionError(
            f"the board's TensorRT reads ONNX up to opset {limit}, and this model of opset {opset(model)} "
            f"has no older form ({first_line(error)})",
            remedy="replace the layer it names, export the model with an older opset, or use a newer JetPack",
        ) from error
