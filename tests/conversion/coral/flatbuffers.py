"""Small LiteRT models made by hand, an operator at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


@dataclass(frozen=True, kw_only=True)
class T:
    """A tensor: computed, or constant where it has values."""

    shape: tuple[int, ...] = (1, 4, 4, 8)
    dtype: str = "INT8"
    values: Any = None
    scales: int = 1
    variable: bool = False
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Op:
    """An operator on tensors by their place in the model's list."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: tuple[tuple[str, int], ...] = ()
    version: int = 1


def constant(values: Any, dtype: str = "INT32") -> T:
    array = np.asarray(values, dtype.lower())
    return T(shape=array.shape, dtype=dtype, values=array)


def weights(*shape: int, scales: int = 1) -> T:
    return T(shape=shape, values=np.ones(shape, np.int8), scales=scales)


def model_of(tensors: list[T], operators: list[Op], *, loops: int = 0, outside: bool = False) -> bytes:
    """Return a flatbuffer; its inputs are what no operator gives. ``loops`` bodies repeat the main graph."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    model.operatorCodes = []
    graph = _graph(model, tensors, operators)
    model.subgraphs = [graph, *(_graph(model, tensors, operators) for _ in range(loops))]
    if outside:
        for buffer in model.buffers:
            if buffer.data is not None:
                buffer.data, buffer.offset, buffer.size = None, 1 << 20, len(buffer.data)
    return pack(model)


def one(name: str, *inputs: T, outputs: tuple[T, ...] = (T(),), version: int = 1, **options: int) -> bytes:
    """Return a model of a single operator."""
    tensors = [*inputs, *outputs]
    operator = Op(
        name=name,
        inputs=tuple(range(len(inputs))),
        outputs=tuple(range(len(inputs), len(tensors))),
        options=tuple(options.items()),
        version=version,
    )
    return model_of(tensors, [operator])


def pack(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _graph(model: Any, tensors: list[T], operators: list[Op]) -> Any:
    graph = schema.SubGraphT()
    graph.name = b"main"
    graph.tensors = [_tensor(model, tensor, at) for at, tensor in enumerate(tensors)]
    graph.operators = [_operator(model, operator) for operator in operators]
    given = {at for operator in operators for at in operator.outputs}
    taken = {at for operator in operators for at in operator.inputs}
    computed = {at for at, tensor in enumerate(tensors) if tensor.values is None and not tensor.variable}
    graph.inputs = np.array(sorted(computed - given), np.int32)
    graph.outputs = np.array(sorted(given - taken), np.int32)
    return graph


def _tensor(model: Any, wanted: T, at: int) -> Any:
    tensor = schema.TensorT()
    tensor.name = (wanted.name or f"tensor {at}").encode()
    tensor.shape = np.array(wanted.shape, np.int32)
    tensor.type = getattr(schema.TensorType, wanted.dtype)
    tensor.isVariable = wanted.variable
    tensor.buffer = 0
    if wanted.values is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(wanted.values).tobytes(), np.uint8)
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = np.full(wanted.scales, 0.5, np.float32)
    tensor.quantization.zeroPoint = np.zeros(wanted.scales, np.int64)
    return tensor


def _operator(model: Any, wanted: Op) -> Any:
    code = schema.OperatorCodeT()
    custom = not hasattr(schema.BuiltinOperator, wanted.name)
    code.builtinCode = schema.BuiltinOperator.CUSTOM if custom else getattr(schema.BuiltinOperator, wanted.name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = wanted.name.encode() if custom else None
    code.version = wanted.version
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes)
    model.operatorCodes.append(code)
    operator.inputs, operator.outputs = np.array(wanted.inputs, np.int32), np.array(wanted.outputs, np.int32)
    if wanted.options:
        _set_options(operator, wanted)
    return operator


_TABLES = {
    "AVERAGE_POOL_2D": "Pool2D",
    "CONCATENATION": "Concatenation",
    "CONV_2D": "Conv2D",
    "FULLY_CONNECTED": "FullyConnected",
    "MAX_POOL_2D": "Pool2D",
    "PACK": "Pack",
    "STRIDED_SLICE": "StridedSlice",
}


def _set_options(operator: Any, wanted: Op) -> None:
    table = f"{_TABLES[wanted.name]}Options"
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
    operator.builtinOptions = getattr(schema, f"{table}T")()
    for name, value in wanted.options:
        assert hasattr(operator.builtinOptions, name), f"{table} has no {name}"
        setattr(operator.builtinOptions, name, value)
