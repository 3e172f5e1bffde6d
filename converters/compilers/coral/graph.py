"""A LiteRT model as the Edge TPU's rules look at it: operators, and the tensors they take and give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffers import operator_name, operator_version, read_model

EIGHT_BIT = frozenset({"INT8", "UINT8"})


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor.

    Attributes:
        index: Its place in its graph.
        name: What the model calls it.
        shape: Sizes, batch first; one that is not positive is not known before the model runs.
        dtype: The schema's name of its stored type, e.g. ``INT8``.
        scales: How many scales it is quantized with: 0 for not quantized, 1, or one for each channel.
        zero_point: Stored value of real zero; 0 if it is not quantized.
        constant: Whether its values are in the model.
        variable: Whether it is a state kept from one step to the next.
        outside: Whether its values lie behind the flatbuffer proper, where only newer readers look.
        data: Values of a constant, as bytes.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: int
    zero_point: int
    constant: bool
    variable: bool
    outside: bool
    data: bytes

    @property
    def activation(self) -> bool:
        """Whether it is computed while the model runs, and passed on at once."""
        return not (self.constant or self.variable)

    @property
    def size_bytes(self) -> int:
        """Bytes of its values if stored in 8 bits."""
        return prod(self.shape)

    @property
    def wide_shape(self) -> tuple[int, ...]:
        """Its shape without leading ones."""
        first = next((at for at, size in enumerate(self.shape) if size != 1), len(self.shape))
        return self.shape[first:]

    def integers(self) -> NDArray[np.int64]:
        """Return a constant's values, INT32 or INT64, flat."""
        return np.frombuffer(self.data, np.dtype(self.dtype.lower())).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator.

    Attributes:
        index: Its place in its graph.
        graph: Which of the model's graphs it is in; 0 is the main one.
        name: The schema's, e.g. ``CONV_2D``; a custom one's own.
        custom: Whether it is a custom one.
        code: The schema's number of it.
        version: The version that the model asks for.
        inputs: What it takes; ``None`` for an optional one left out.
        outputs: What it gives.
        options: The schema's table of its settings, or ``None``.
    """

    index: int
    graph: int
    name: str
    custom: bool
    code: int
    version: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Any

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """Everything that passes through it while the model runs."""
        return (*(tensor for tensor in self.inputs if tensor and tensor.activation), *self.outputs)

    @property
    def constants(self) -> tuple[Tensor, ...]:
        """What it takes from the model itself."""
        return tuple(tensor for tensor in self.inputs if tensor and tensor.constant)

    def input(self, at: int) -> Tensor | None:
        """Return an input, ``None`` if it has none there."""
        return self.inputs[at] if at < len(self.inputs) else None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A model.

    Attributes:
        operators: Of every graph in it, the main one's first, each graph's in the order they run.
        inputs: The main graph's.
        outputs: Likewise.
        open_sizes: Whether a size is left open until the model runs.
    """

    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    open_sizes: bool


def read_graph(flatbuffer: bytes) -> Graph:
    """Return the operators of a LiteRT model.

    Raises:
        ConversionError: It is none, or damaged.
    """
    model = read_model(flatbuffer)
    tensors = [[_tensor(model, graph, at) for at in range(len(graph.tensors))] for graph in model.subgraphs]
    main = model.subgraphs[0]
    return Graph(
        operators=tuple(
            _operator(model, number, at, tensors[number])
            for number, graph in enumerate(model.subgraphs)
            for at in range(len(graph.operators))
        ),
        inputs=tuple(tensors[0][at] for at in main.inputs),
        outputs=tuple(tensors[0][at] for at in main.outputs),
        open_sizes=any(_left_open(tensor) for tensor in main.tensors),
    )


def _tensor(model: Any, graph: Any, index: int) -> Tensor:
    tensor = graph.tensors[index]
    buffer = model.buffers[tensor.buffer]
    inside = buffer.data is not None and len(buffer.data) > 0
    outside = bool(getattr(buffer, "offset", 0))
    quantization = tensor.quantization
    zero_points = _integers(quantization.zeroPoint) if quantization else []
    return Tensor(
        index=index,
        name=(tensor.name or b"").decode(errors="replace"),
        shape=tuple(_integers(tensor.shape)),
        dtype=_type_names()[tensor.type],
        scales=len(_integers(quantization.scale)) if quantization else 0,
        zero_point=zero_points[0] if zero_points else 0,
        constant=inside or outside,
        variable=bool(tensor.isVariable),
        outside=outside,
        data=bytes(bytearray(buffer.data)) if inside else b"",
    )


def _left_open(tensor: Any) -> bool:
    signature = tensor.shapeSignature
    return signature is not None and any(int(size) < 0 for size in signature)


def _operator(model: Any, graph: int, index: int, tensors: list[Tensor]) -> Operator:
    operator = model.subgraphs[graph].operators[index]
    code = model.operatorCodes[operator.opcodeIndex]
    return Operator(
        index=index,
        graph=graph,
        name=operator_name(model, operator),
        custom=code.customCode is not None,
        code=max(code.builtinCode, code.deprecatedBuiltinCode),
        version=operator_version(model, operator),
        inputs=tuple(tensors[at] if at >= 0 else None for at in _integers(operator.inputs)),
        outputs=tuple(tensors[at] for at in _integers(operator.outputs)),
        options=operator.builtinOptions,
    )


def _integers(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]


@cache
def _type_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415  # only a workstation has it

    return {number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
