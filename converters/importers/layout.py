"""Taking moves of values out of a flatbuffer that undo each other, as they come from a channels-first framework.

Between such a model's inputs, whose channels are last, and LiteRT's operators, which take them last too, stands a
transpose to channels first and one back. Nothing is computed in them, and not every accelerator has them.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffers import operator_name, read_model, write_model

_MOVING = ("TRANSPOSE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS")

Places = NDArray[np.int64]


def with_fewer_transposes(flatbuffer: bytes) -> bytes:
    """Return a model that computes the same with chains of moves made one reshape, or taken into the mean after them.

    A model with loops or branches stays as it is.
    """
    model = read_model(flatbuffer)
    if len(model.subgraphs) > 1:
        return flatbuffer
    graph = _Graph(model)
    for operator in list(graph.operators):
        if graph.name(operator) in _MOVING:
            _merge(graph, operator)
        elif graph.name(operator) == "MEAN":
            _mean_of_source(graph, operator)
    graph.forget_unused_codes()
    return write_model(model)


class _Graph:
    """The main graph of a model, and how to change it."""

    def __init__(self, model: Any) -> None:
        self._model, self._graph = model, model.subgraphs[0]

    @property
    def operators(self) -> list[Any]:
        return list(self._graph.operators)

    def name(self, operator: Any) -> str:
        return operator_name(self._model, operator)

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self._graph.tensors[tensor].shape)

    def constant(self, tensor: int) -> NDArray[np.int32] | None:
        """Return a constant tensor of int32; ``None`` for one that is computed."""
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        return None if data is None else np.frombuffer(bytes(bytearray(data)), np.int32)

    def chain_to(self, tensor: int) -> list[Any]:
        """Return the moves that only lead to this tensor, in order."""
        chain: list[Any] = []
        while (maker := self._only_for(tensor)) is not None and self.moved(maker) is not None:
            chain.insert(0, maker)
            tensor = maker.inputs[0]
        return chain

    def _only_for(self, tensor: int) -> Any:
        """Return the operator that makes a tensor which one operator alone takes."""
        takers = sum(list(operator.inputs).count(tensor) for operator in self._graph.operators)
        makers = [operator for operator in self._graph.operators if tensor in operator.outputs]
        return makers[0] if makers and takers == 1 and tensor not in self._graph.outputs else None

    def moved(self, operator: Any) -> tuple[int, ...] | None:
        """Return a move's axes in their new order, which only a transpose changes; ``None`` for no known move."""
        if self.name(operator) not in _MOVING:
            return None
        axes = tuple(range(len(self.shape(operator.inputs[0]))))
        if self.name(operator) != "TRANSPOSE":
            return axes
        order = self.constant(operator.inputs[1])
        return None if order is None else tuple(int(axis) for axis in order)

    def places(self, chain: list[Any]) -> Places:
        """Return where each value after a chain of moves comes from, counted through its source."""
        source = self.shape(chain[0].inputs[0])
        places = np.arange(np.prod(source, dtype=np.int64)).reshape(source)
        for operator in chain:
            places = places.transpose(self.moved(operator)).reshape(self.shape(operator.outputs[0]))
        return places

    def drop(self, operators: list[Any]) -> None:
        gone = {id(operator) for operator in operators}
        self._graph.operators = [operator for operator in self._graph.operators if id(operator) not in gone]

    def forget_unused_codes(self) -> None:
        """Leave out what no operator is any more: a runtime may have only what is used."""
        codes = self._model.operatorCodes
        used = sorted({operator.opcodeIndex for operator in self._graph.operators})
        for operator in self._graph.operators:
            operator.opcodeIndex = used.index(operator.opcodeIndex)
        self._model.operatorCodes = [codes[index] for index in used]

    def add_constant(self, values: tuple[int, ...], name: bytes) -> int:
        from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415  # only a workstation has it

        data = np.frombuffer(np.array(values, np.int32).tobytes(), np.uint8)
        self._model.buffers.append(schema.BufferT(data=data))
        place = len(self._model.buffers) - 1
        self._graph.tensors.append(
            schema.TensorT(name=name, shape=[len(values)], type=schema.TensorType.INT32, buffer=place, hasRank=True)
        )
        return len(self._graph.tensors) - 1

    def make_reshape(self, operator: Any, source: int) -> None:
        """Turn an operator into a reshape of a tensor into its output."""
        from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

        shape, reshape = self.shape(operator.outputs[0]), schema.BuiltinOperator.RESHAPE
        codes = self._model.operatorCodes
        at = next((index for index, code in enumerate(codes) if code.builtinCode == reshape), len(codes))
        if at == len(codes):
            codes.append(schema.OperatorCodeT(builtinCode=reshape, deprecatedBuiltinCode=reshape, version=1))
        name = self._graph.tensors[operator.outputs[0]].name + b"_shape"
        operator.opcodeIndex, operator.inputs = at, [source, self.add_constant(shape, name)]
        operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = schema.ReshapeOptionsT(newShape=list(shape))


def _merge(graph: _Graph, operator: Any) -> None:
    """Make the longest chain of moves up to this one, if it keeps the order of the values, one reshape."""
    if graph.moved(operator) is None:
        return
    chain = [*graph.chain_to(operator.inputs[0]), operator]
    for start in range(len(chain)):
        moves = chain[start:]
        if len(moves) == 1 and graph.name(operator) != "TRANSPOSE":
            return
        places = graph.places(moves).ravel()
        if (np.diff(places) == 1).all():
            source = moves[0].inputs[0]
            graph.drop(moves[:-1])
            graph.make_reshape(operator, source)
            return


def _mean_of_source(graph: _Graph, operator: Any) -> None:
    """Take the mean of what moves start from, if the same values meet along some of its axes."""
    chain, axes = graph.chain_to(operator.inputs[0]), graph.constant(operator.inputs[1])
    if not chain or axes is None:
        return
    places = graph.places(chain)
    source, wanted = graph.shape(chain[0].inputs[0]), _meeting(places, tuple(int(axis) for axis in axes))
    whole = np.arange(places.size).reshape(source)
    kept = operator.builtinOptions.keepDims
    for count in range(1, len(source) + 1):
        for tried in combinations(range(len(source)), count):
            shape = np.empty(source, np.uint8).mean(axis=tried, keepdims=kept).shape
            if shape == graph.shape(operator.outputs[0]) and np.array_equal(_meeting(whole, tried), wanted):
                operator.inputs = [chain[0].inputs[0], graph.add_constant(tried, b"mean_axes")]
                graph.drop(chain)
                return


def _meeting(places: Places, axes: tuple[int, ...]) -> Places:
    """Return the places that a reduction along some axes brings together, a row for each of its results."""
    last = np.moveaxis(places, axes, range(-len(axes), 0))
    size = np.prod(last.shape[last.ndim - len(axes) :], dtype=np.int64)
    return np.sort(last.reshape(-1, size), axis=1)
