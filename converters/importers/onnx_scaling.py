"""Moving a Scaler at an ONNX model's input in front of the model: `converters.importers.scaling`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.importers.fitting import InputFit
from converters.importers.scaling import without_steps
from converters.models import Predict
from edge_sdk.contracts import Standardize
from edge_sdk.tensors import FloatArray

_TABLE = 2  # axes of a batch of rows
MOVED = "the model's scaler is a step of its input: it is done in float, before the model"


def take_scalers(graph: Any, fits: Sequence[InputFit]) -> dict[str, Standardize]:
    """Take the scalers that alone read an input out of a graph, and return what they did, by the contract's names."""
    found = {}
    for fit in fits:
        takers = [node for node in graph.node if fit.source in node.input]
        if len(takers) == 1 and takers[0].op_type == "Scaler" and len(fit.expanded) == _TABLE:
            step = _step(takers[0], fit.expanded[1])
            if step:
                _bypass(graph, takers[0])
                found[fit.name] = step
    return found


def _step(scaler: Any, columns: int) -> Standardize | None:
    given = {item.name: np.array(item.floats, np.float64) for item in scaler.attribute}
    scale, offset = (np.broadcast_to(given[name], columns) for name in ("scale", "offset"))
    if not scale.all():
        return None
    return Standardize(mean=tuple(offset.tolist()), std=tuple((1 / scale).tolist()))


def _bypass(graph: Any, passed: Any) -> None:
    before, after = passed.input[0], passed.output[0]
    graph.node.remove(passed)
    for node in graph.node:
        node.input[:] = [before if name == after else name for name in node.input]


def predict_before(predict: Predict, steps: Mapping[str, Standardize]) -> Predict:
    """Return what asks the whole model, its scalers included, for inputs that were scaled."""

    def whole(inputs: dict[str, FloatArray]) -> FloatArray:
        return predict(
            {
                name: without_steps(values, [steps[name]] if name in steps else []).astype(np.float32)
                for name, values in inputs.items()
            }
        )

    return whole
