"""Where a compiled model loses precision: each tensor's signal against its quantization noise, on real windows."""

from __future__ import annotations

import numpy as np

from converters.flatbuffers import operator_name, read_model
from converters.tensors import Flatbuffer
from edge_sdk.manifest import LayerFigures
from edge_sdk.tensors import FloatArray

_WINDOWS = 32
# Noise below this is rounding in the last bit: a bound that keeps the figures finite.
_BEST_DB = 150.0


def layer_figures(reference: bytes, compiled: bytes, windows: dict[str, FloatArray]) -> tuple[LayerFigures, ...]:
    """Return the signal-to-quantization-noise ratio of every tensor that both models compute, worst first.

    Args:
        reference: The float32 flatbuffer that the other was made of.
        compiled: The flatbuffer that a board runs.
        windows: Inputs by name, each (n, …); the first of them are used.
    """
    operators = _operators(reference)
    first, second = Flatbuffer(reference, keep_every_tensor=True), Flatbuffer(compiled, keep_every_tensor=True)
    signal, noise = dict.fromkeys(operators, 0.0), dict.fromkeys(operators, 0.0)
    shared = set(operators)
    for row in range(min(_WINDOWS, len(next(iter(windows.values()))))):
        window = {name: values[row : row + 1] for name, values in windows.items()}
        first.run(window)
        second.run(window)
        real, rounded = first.tensors(), second.tensors()
        shared &= {name for name in real if name in rounded and real[name].shape == rounded[name].shape}
        for name in shared:
            signal[name] += float(np.square(real[name], dtype=np.float64).sum())
            noise[name] += float(np.square(rounded[name].astype(np.float64) - real[name]).sum())
    found = [
        LayerFigures(name=name, operator=operators[name], sqnr_db=_decibels(signal[name], noise[name]))
        for name in operators
        if name in shared and signal[name]
    ]
    return tuple(sorted(found, key=lambda layer: layer.sqnr_db))


def _operators(flatbuffer: bytes) -> dict[str, str]:
    """Return what computes each tensor of the main graph, in order."""
    model = read_model(flatbuffer)
    graph = model.subgraphs[0]
    return {
        graph.tensors[index].name.decode(): operator_name(model, operator)
        for operator in graph.operators
        for index in operator.outputs
    }


def _decibels(signal: float, noise: float) -> float:
    return min(10 * float(np.log10(signal / noise)), _BEST_DB) if noise else _BEST_DB
