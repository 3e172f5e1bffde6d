"""Small ONNX graphs made for one test each, and contracts they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_sdk.codes import Code
from edge_sdk.contracts import FixedWindows, InputContract, ModelContract, ModelInput, OutputContract, OutputQuantity
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray

# What TensorFlow's quantizer and tf2onnx say about their own code.
NOISE = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"
)
Nodes = Sequence[tuple[str, str, str, Mapping[str, Any]]]


def contract(width: int, **shapes: tuple[int, ...]) -> ModelContract:
    """A contract whose model reads waveforms of these shapes and gives ``answer``."""
    return ModelContract(
        id="net",
        version="1.0.0",
        title="A small network",
        input=InputContract(
            signal=SignalFormat(kind="ecg", unit="mV", channels=("II",), sample_rate_hz=100.0),
            windows=FixedWindows(length_s=1, hop_s=1),
            inputs=tuple(ModelInput(name=name, takes="waveform", shape=shape) for name, shape in shapes.items()),
        ),
        output=OutputContract(
            name="answer",
            code=Code(system="urn:test", code="net", display="Net"),
            quantities=tuple(OutputQuantity(name=f"q{n}", display=f"Quantity {n}", unit="1") for n in range(width)),
        ),
    )


def graph(
    nodes: Nodes,
    shapes: Mapping[str, tuple[int | str, ...]],
    weights: Mapping[str, Any] | None = None,
    *,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> Any:
    """A model: each node is its operator, its inputs and outputs as words, and its attributes."""
    made = []
    for operator, takes, gives, attributes in nodes:
        domain, _, name = operator.rpartition(":")
        inputs = ["" if word == "-" else word for word in takes.split()]
        outs = ["" if word == "-" else word for word in gives.split()]
        made.append(helper.make_node(name, inputs, outs, domain=domain, **attributes))
    body = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    versions = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(body, opset_imports=versions, ir_version=8)


def windows(count: int, seed: int = 1, **shapes: tuple[int, ...]) -> dict[str, FloatArray]:
    random = np.random.default_rng(seed)
    return {name: random.normal(0, 1, (count, *shape)).astype(np.float32) for name, shape in shapes.items()}


def weights(*shape: int, seed: int = 3) -> FloatArray:
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


def answers(model: bytes | Any, given: dict[str, FloatArray], output: str) -> FloatArray:
    """What onnxruntime answers, one window after the other."""
    import onnxruntime

    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    count = len(next(iter(given.values())))
    rows = [session.run([output], {name: values[[row]] for name, values in given.items()})[0] for row in range(count)]
    return np.stack([row.reshape(-1) for row in rows])


def saved(model: Any, path: Any) -> Any:
    onnx.save(model, path)
    return path
