"""From an ONNX graph to a SavedModel that computes the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.importers.fitting import InputFit
from converters.importers.tensorflow import export_saved_model
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError

_STANDARD = {"", "ai.onnx", "ai.onnx.ml"}
_RECURRENT = {"GRU", "LSTM", "RNN"}
_LOOP, _LONGEST_LOOP = "Loop", 10_000  # steps, all of which are written out


def saved_model_of(
    graph: Any, opset: int, contract: ModelContract, fits: Sequence[InputFit], workspace: Path, *, unroll: bool
) -> Path:
    """Write a SavedModel that computes an ONNX graph, under the contract's names, and return its folder.

    Args:
        graph: A simplified ``GraphProto`` with fixed sizes and one output.
        opset: Version of its operators.
        contract: Names and shapes.
        fits: How the contract's inputs become the graph's.
        workspace: A folder for what is made.
        unroll: Whether recurrent operators are written out step by step.

    Raises:
        ConversionError: It has an operator that is not translated.
    """
    import tensorflow as tf  # noqa: PLC0415

    check_operators(graph)
    folder = Path(tempfile.mkdtemp(prefix="onnx-", dir=workspace))

    def call(tensors: Mapping[str, Any]) -> Any:
        answer = computed(graph, opset, fits, tensors, unroll=unroll)
        return tf.reshape(answer, (1, contract.output.width))

    export_saved_model(tf.Module(), contract, folder, call=call)
    return folder


def computed(graph: Any, opset: int, fits: Sequence[InputFit], tensors: Mapping[str, Any], *, unroll: bool) -> Any:
    """Return the tensor of a graph's only output, given the contract's inputs by name; arguments as above."""
    import tensorflow as tf  # noqa: PLC0415

    from converters.importers.onnx_ops.values import Value  # noqa: PLC0415  # imports TensorFlow

    values = {fit.source: Value(tensor=tf.reshape(tensors[fit.name], fit.expanded), order=fit.order) for fit in fits}
    return _Translation(opset=opset, unroll=unroll).run(graph, values)[graph.output[0].name].logical


def is_recurrent(graph: Any) -> bool:
    """Return whether a graph has an operator that is a loop unless it is written out."""
    return any(node.op_type in _RECURRENT for node in every_node(graph))


def every_node(graph: Any) -> Iterator[Any]:
    """Return a graph's nodes, and those of the graphs inside them."""
    for node in graph.node:
        yield node
        for inner in inner_graphs(node):
            yield from every_node(inner)


def inner_graphs(node: Any) -> list[Any]:
    """Return the graphs inside a node: a loop's body, a branch."""
    return [item.g for item in node.attribute if item.HasField("g")]


def check_operators(graph: Any) -> None:
    """Refuse a graph with operators that are not translated, naming all of them.

    Raises:
        ConversionError: It has one.
    """
    from converters.importers.onnx_ops import OPERATORS  # noqa: PLC0415

    unknown: dict[str, str] = {}
    for node in every_node(graph):
        if (node.op_type not in OPERATORS and node.op_type != _LOOP) or node.domain not in _STANDARD:
            name = node.op_type if node.domain in _STANDARD else f"{node.domain}.{node.op_type}"
            unknown.setdefault(name, node.name or node.output[0])
    if unknown:
        words = ", ".join(f"{operator} (node '{name}')" for operator, name in sorted(unknown.items()))
        raise ConversionError(
            f"the model has operators that have no LiteRT form here: {words}",
            remedy="export it with standard ONNX operators, or bring it as Keras, PyTorch or TensorFlow",
        )


@dataclass(frozen=True, kw_only=True)
class _Translation:
    """Translates graphs node by node; a value is known by its name once its node was translated."""

    opset: int
    unroll: bool

    def run(self, graph: Any, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return all values of a graph by name, given its inputs' and, inside a loop, those around it."""
        import onnx  # noqa: PLC0415

        from converters.importers.onnx_ops.values import plain  # noqa: PLC0415

        values = {**known, **{item.name: plain(onnx.numpy_helper.to_array(item)) for item in graph.initializer}}
        taken = {name for node in every_node(graph) for name in node.input} | {item.name for item in graph.output}
        for node in graph.node:
            found = self._looped(node, values) if node.op_type == _LOOP else self._translated(node, values, taken)
            values.update(zip(node.output, found, strict=False))  # a node may leave out its last outputs
        return values

    def _translated(self, proto: Any, values: Mapping[str, Any], taken: set[str]) -> tuple[Any, ...]:
        import onnx  # noqa: PLC0415
        import tensorflow as tf  # noqa: PLC0415

        from converters.importers.onnx_ops import OPERATORS  # noqa: PLC0415
        from converters.importers.onnx_ops.node import Node  # noqa: PLC0415

        node = Node(
            operator=proto.op_type,
            name=proto.name or proto.output[0],
            opset=self.opset,
            inputs=tuple(values[name] if name else None for name in proto.input),
            attributes={item.name: _attribute(onnx.helper.get_attribute_value(item)) for item in proto.attribute},
            wanted=tuple(name in taken for name in proto.output),
            unroll=self.unroll,
        )
        translate = OPERATORS[node.operator]
        try:
            if node.inputs and all(value is None or value.is_constant for value in node.inputs):
                with tf.init_scope():  # computed now, and a constant like its inputs
                    return tuple(_computed(value) for value in _several(translate(node)))
            return _several(translate(node))
        except (ValueError, TypeError, KeyError, IndexError, NotImplementedError, tf.errors.OpError) as error:
            raise node.refuse((str(error).strip() or repr(error)).splitlines()[0]) from error

    def _looped(self, proto: Any, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Write out a loop whose length does not depend on the signal."""
        from converters.importers.onnx_ops.values import plain  # noqa: PLC0415

        (body,) = inner_graphs(proto)
        count, going, *carried = (values[name] if name else plain(np.array(True)) for name in proto.input)
        steps = int(np.ravel(count.tensor)[0]) if count.is_constant and proto.input[0] else _LONGEST_LOOP
        scans: list[list[Any]] = [[] for _ in body.output[1 + len(carried) :]]
        for step in range(min(steps, _LONGEST_LOOP)):
            if not going.is_constant:
                raise ConversionError(
                    f"how often the loop '{proto.name or proto.output[0]}' runs depends on the signal",
                    remedy="export the model with fixed sizes",
                )
            if not np.ravel(going.tensor)[0]:
                break
            given = [plain(np.array(step, np.int64)), going, *carried]
            names = [item.name for item in body.input]
            inner = self.run(body, {**values, **dict(zip(names, given, strict=True))})
            going, *rest = (inner[item.name] for item in body.output)
            carried = rest[: len(carried)]
            for scan, value in zip(scans, rest[len(carried) :], strict=True):
                scan.append(value)
        return *carried, *(_stacked(scan) for scan in scans)


def _stacked(values: Sequence[Any]) -> Any:
    import tensorflow as tf  # noqa: PLC0415

    from converters.importers.onnx_ops.values import plain  # noqa: PLC0415

    return plain(tf.concat([tf.expand_dims(value.logical, 0) for value in values], 0))


def _several(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def _computed(value: Any) -> Any:
    return value if value.is_constant or value.tensor is None else value.like(value.tensor.numpy())


def _attribute(value: Any) -> Any:
    import onnx  # noqa: PLC0415

    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [_attribute(each) for each in value]
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
