"""Small ONNX models for tests, and what the bundle would say of them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_sdk.manifest import Artifact
from edge_sdk.tensors import TensorSpec

INPUTS = {"features": (4,), "waveform": (6, 2)}
OUTPUT = ("answer", 3)


def onnx_model(*, seed: int = 0, opset: int = 17, dtype: type[np.floating] = np.float32) -> bytes:
    """Two dense layers added; ``dtype`` is that of the weights, between casts."""
    random = np.random.default_rng(seed)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    stored, nodes = [], []
    for name, shape in INPUTS.items():
        size = int(np.prod(shape))
        stored.append(numpy_helper.from_array(random.normal(size=(size, OUTPUT[1])).astype(dtype), f"{name}_weights"))
        stored.append(numpy_helper.from_array(np.array([1, size], np.int64), f"{name}_shape"))
        nodes.append(helper.make_node("Cast", [name], [f"{name}_cast"], to=kind))
        nodes.append(helper.make_node("Reshape", [f"{name}_cast", f"{name}_shape"], [f"{name}_flat"]))
        nodes.append(helper.make_node("MatMul", [f"{name}_flat", f"{name}_weights"], [f"{name}_out"], name=name))
    nodes.append(helper.make_node("Add", [f"{name}_out" for name in INPUTS], ["sum"]))
    nodes.append(helper.make_node("Cast", ["sum"], [OUTPUT[0]], to=TensorProto.FLOAT))
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, *shape)) for name, shape in INPUTS.items()]
    output = helper.make_tensor_value_info(OUTPUT[0], TensorProto.FLOAT, (1, OUTPUT[1]))
    graph = helper.make_graph(nodes, "tiny", inputs, [output], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def onnx_artifact(*, minimum_runtime: str = "10.3.0") -> Artifact:
    return Artifact(
        path="model.onnx",
        backend="tensorrt",
        targets=("jetson-orin-nano",),
        inputs=tuple(TensorSpec(name=name, shape=(1, *shape), dtype="float32") for name, shape in INPUTS.items()),
        outputs=(TensorSpec(name=OUTPUT[0], shape=(1, OUTPUT[1]), dtype="float32"),),
        minimum_runtime=minimum_runtime,
    )
