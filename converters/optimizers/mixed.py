"""Mixed precision: which layers of an integer model are worth keeping in float32. Found by trying."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from converters.calibration import WindowSet
from converters.flatbuffers import operator_name, read_model
from converters.tensors import run_flatbuffer
from edge_sdk.tensors import FloatArray

_WINDOWS = 64
_CANDIDATES = 24
_MULTIPLYING = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"}
_INVISIBLE = 1e-4  # noise 40 dB below the signal
_WORTH_IT = 0.95  # what a layer kept in float must leave of the error, at most
# Operators that only move values: keeping them in float saves nothing.
_MOVING = {
    "RESHAPE",
    "TRANSPOSE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "PACK",
    "UNPACK",
    "SPLIT",
    "STRIDED_SLICE",
    "SLICE",
    "GATHER",
}


def costliest_layers(
    flatbuffer: bytes,
    quantize: Callable[[Sequence[str]], bytes],
    windows: WindowSet,
    *,
    kept: Sequence[str],
    at_most: int,
) -> tuple[str, ...]:
    """Return the tensors of the layers whose rounding costs the model's output most, worst first.

    One after the other is kept in float and the output's error measured again, as long as there is an error to speak of
    and a layer that is worth its cost.

    Args:
        flatbuffer: float32.
        quantize: Makes the integer model, given the layers that stay float.
        windows: Real windows to measure on.
        kept: Layers that stay float already.
        at_most: How many layers to find.
    """
    chosen = windows.take(np.linspace(0, len(windows) - 1, min(_WINDOWS, len(windows))).astype(np.int64))
    truth = run_flatbuffer(flatbuffer, chosen)
    layers = _layers(flatbuffer)

    def error(names: Sequence[str]) -> float:
        return mean_square_error(truth, run_flatbuffer(quantize(names), chosen))

    found: list[str] = []
    lowest, signal = error(kept), float(np.mean(np.square(truth)))
    for _ in range(at_most):
        if lowest <= signal * _INVISIBLE:
            break
        tried = [(error((*kept, *found, *names)), names) for names in layers if not {*names} <= {*found}]
        best, names = min(tried, default=(lowest, []))
        if best > lowest * _WORTH_IT:
            break
        found, lowest = [*found, *names], best
    return tuple(found)


def mean_square_error(first: FloatArray, second: FloatArray) -> float:
    """Return the mean of the squared differences."""
    return float(np.mean((first - second) ** 2))


def _layers(flatbuffer: bytes) -> list[list[str]]:
    """Return the tensors that each layer gives: of one operator that multiplies, or of a run of others between two.

    A normalization is such a run: to keep one operator of it in float alone gains nothing.
    """
    model = read_model(flatbuffer)
    graph = model.subgraphs[0]
    layers: list[list[str]] = []
    in_run = False
    for operator in graph.operators:
        kind, name = operator_name(model, operator), graph.tensors[operator.outputs[0]].name.decode()
        if kind in _MOVING:
            continue
        if kind in _MULTIPLYING or not in_run:
            layers.append([])
        layers[-1].append(name)
        in_run = kind not in _MULTIPLYING
    # Every try is a conversion; of a deep model the layers nearest to the output are tried.
    return layers[-_CANDIDATES:]
