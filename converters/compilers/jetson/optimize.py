"""Applying a recipe to the ONNX form of a model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from converters.calibration import WindowSet
from converters.compilers.jetson.graphs import OnnxModel, read_onnx, require_standard_operators
from converters.compilers.jetson.precision import Int8Quantizer, to_float16
from converters.models import FloatModel, OptimizedModel
from converters.optimizers.recipe import FloatLayers, Recipe
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

# Every try is a model quantized and run; of a deep model the layers nearest to the output are tried.
_CANDIDATES = 24
_TRIAL_WINDOWS = 64
_RECURRENT = {"Loop", "Scan", "LSTM", "GRU", "RNN"}


def optimize_onnx(model: FloatModel, recipe: Recipe, calibration: WindowSet | None) -> OptimizedModel:
    """Turn a model's ONNX form into what the recipe asks for.

    Raises:
        ConversionError: TensorRT has no such arithmetic, or the recipe needs calibration windows and got none.
    """
    kind = (recipe.weights, recipe.activations)
    data = model.to_onnx()
    remarks: tuple[str, ...] = ()
    require_standard_operators(data)
    if kind == ("float16", "float32"):
        data = to_float16(data)
    elif kind == ("int8", "int8"):
        data, remarks = _int8(data, recipe, calibration)
    elif kind != ("float32", "float32"):
        raise ConversionError(
            f"recipe '{recipe.name}' is not for TensorRT: weights in {recipe.weights} with activations in "
            f"{recipe.activations} are nothing it computes with",
            remedy="use int8, int8-mixed, float16 or float32",
        )
    return OptimizedModel(
        source=model, recipe=recipe, form="onnx", data=data, reference=model.flatbuffer, remarks=remarks
    )


def _int8(data: bytes, recipe: Recipe, calibration: WindowSet | None) -> tuple[bytes, tuple[str, ...]]:
    if calibration is None:
        raise ConversionError(f"recipe '{recipe.name}' needs calibration windows", remedy="give --calibration")
    with tempfile.TemporaryDirectory(prefix="edge-onnx-") as folder:
        quantizer = Int8Quantizer(data, calibration.inputs, Path(folder))
        kept: tuple[str, ...] = ()
        if recipe.float_layers:
            kept = _named(quantizer.layers(), recipe.float_layers)
            kept += _costliest(data, quantizer, calibration, kept=kept, at_most=recipe.float_layers.at_most)
        return quantizer.quantize(kept), (*_loops(data), *(f"kept in float32: {name}" for name in kept))


def _loops(data: bytes) -> tuple[str, ...]:
    found = sorted({node.op_type for node in read_onnx(data).graph.node} & _RECURRENT)
    return (f"float32 inside {', '.join(found)}: TensorRT has no int8 there",) if found else ()


def _named(layers: Sequence[str], wanted: FloatLayers) -> tuple[str, ...]:
    for pattern in wanted.names:
        if not any(fnmatchcase(name, pattern) for name in layers):
            raise ConversionError(
                f"no layer's name fits '{pattern}'",
                remedy=f"the model has {', '.join(layers[:20])}; use * for any part",
            )
    return tuple(name for name in layers if any(fnmatchcase(name, pattern) for pattern in wanted.names))


def _costliest(
    data: bytes, quantizer: Int8Quantizer, windows: WindowSet, *, kept: Sequence[str], at_most: int
) -> tuple[str, ...]:
    """Return the layers whose rounding costs the output most, worst first: one after the other is kept and measured."""
    chosen = windows.take(np.linspace(0, len(windows) - 1, min(_TRIAL_WINDOWS, len(windows))).astype(np.int64))
    truth = OnnxModel(data).predict(chosen)

    def error(names: Sequence[str]) -> float:
        return _mean_square(truth - OnnxModel(quantizer.quantize(names)).predict(chosen))

    found: list[str] = []
    candidates = [name for name in quantizer.layers()[-_CANDIDATES:] if name not in kept]
    lowest = error(kept)
    while len(found) < min(at_most, len(candidates) - 1):  # one at least stays int8
        tried = {name: error((*kept, *found, name)) for name in candidates if name not in found}
        best = min(tried, key=lambda name: tried[name])
        if tried[best] >= lowest:
            break
        found, lowest = [*found, best], tried[best]
    return tuple(found)


def _mean_square(difference: FloatArray) -> float:
    return float(np.mean(difference**2))
