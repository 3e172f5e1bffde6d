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
    """Return the layers whose rounding costs the model's output most, by the names of their outputs, worst first.

    One after the other is kept in float and the output's error measured again; a layer that does not help is no answer.

    Args:
        flatbuffer: float32.
        quantize: Makes the integer model, given the layers that stay float.
        windows: Real windows to measure on.
        kept: Layers that stay float already.
        at_most: How many to find.
    """
    chosen = windows.take(np.linspace(0, len(windows) - 1, min(_WINDOWS, len(windows))).astype(np.int64))
    truth = run_flatbuffer(flatbuffer, chosen)

    def error(names: Sequence[str]) -> float:
        return mean_square_error(truth, run_flatbuffer(quantize(names), chosen))

    found: list[str] = []
    lowest, candidates = error(kept), _candidates(flatbuffer)
    for _ in range(at_most):
        tried = {name: error((*kept, *found, name)) for name in candidates if name not in {*kept, *found}}
        best = min(tried, key=lambda name: tried[name], default=None)
        if best is None or tried[best] >= lowest:
            break
        found, lowest = [*found, best], tried[best]
    return tuple(found)


def mean_square_error(first: FloatArray, second: FloatArray) -> float:
    """Return the mean of the squared differences."""
    return float(np.mean((first - second) ** 2))


def _candidates(flatbuffer: bytes) -> list[str]:
    model = read_model(flatbuffer)
    graph = model.subgraphs[0]
    operators = [operator for operator in graph.operators if operator_name(model, operator) not in _MOVING]
    # Every try is a conversion; of a deep model the operators nearest to the output are tried.
    return [graph.tensors[operator.outputs[0]].name.decode() for operator in operators[-_CANDIDATES:]]
