"""From an ONNX graph to a float32 LiteRT flatbuffer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from converters.importers.fitting import InputFit
from converters.importers.tensorflow import export_saved_model
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError

_STANDARD = {"", "ai.onnx", "ai.onnx.ml"}
RECURRENT = {"GRU", "LSTM", "RNN"}


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

    folder = Path(tempfile.mkdtemp(prefix="onnx-", dir=workspace))

    def call(tensors: Mapping[str, Any]) -> Any:
        values = {fit.source: _value(fit, tensors[fit.name]) for fit in fits}
        answer = translated(graph, opset, values, unroll=unroll)
        return tf.reshape(answer, (1, contract.output.width))

    export_saved_model(tf.Module(), contract, folder, call=call)
    return folder


def _value(fit: InputFit, tensor: Any) -> Any:
    import tensorflow as tf  # noqa: PLC0415

    from converters.importers.onnx_ops.values import Value  # noqa: PLC0415  # imports TensorFlow

    return Value(tensor=tf.reshape(tensor, fit.expanded), order=fit.order)


def translated(graph: Any, opset: int, values: Mapping[str, Any], *, unroll: bool) -> Any:
    """Return the tensor of a graph's only output.

    Args:
        graph: The ``GraphProto``.
        opset: Version of its operators.
        values: The `Value` of each input, by name.
        unroll: Whether recurrent operators are written out step by step.

    Raises:
        ConversionError: It has an operator that is not translated.
    """
    import onnx  # noqa: PLC0415

    from converters.importers.onnx_ops.values import plain  # noqa: PLC0415

    known = {tensor.name: plain(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    known.update(values)
    taken = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    for number, proto in enumerate(graph.node):
        inputs = tuple(known[name] if name else None for name in proto.input)
        found = _translate(proto, number, inputs, opset, taken, unroll=unroll)
        known.update(zip(proto.output, found, strict=False))  # a node may leave out its last outputs
    return known[graph.output[0].name].logical


def _translate(
    proto: Any, number: int, inputs: tuple[Any, ...], opset: int, taken: set[str], *, unroll: bool
) -> tuple[Any, ...]:
    import onnx  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    from converters.importers.onnx_ops import OPERATORS  # noqa: PLC0415
    from converters.importers.onnx_ops.node import Node  # noqa: PLC0415

    node = Node(
        operator=proto.op_type,
        name=proto.name or f"number {number}",
        opset=opset,
        inputs=inputs,
        attributes={item.name: _attribute(onnx.helper.get_attribute_value(item)) for item in proto.attribute},
        wanted=tuple(name in taken for name in proto.output),
        unroll=unroll,
    )
    if node.operator not in OPERATORS or proto.domain not in _STANDARD:
        raise node.refuse(f"it is not known{f', of {proto.domain}' if proto.domain not in _STANDARD else ''}")
    try:
        if inputs and all(value is None or value.is_constant for value in inputs):
            with tf.init_scope():
                return tuple(_computed(value) for value in _several(OPERATORS[node.operator](node)))
        return _several(OPERATORS[node.operator](node))
    except (ValueError, TypeError, KeyError, IndexError, NotImplementedError, tf.errors.OpError) as error:
        raise node.refuse(str(error).strip().splitlines()[0] if str(error).strip() else repr(error)) from error


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


def check_operators(graph: Any) -> None:
    """Refuse a graph with an operator that is not translated, naming all of them.

    Raises:
        ConversionError: It has one.
    """
    from converters.importers.onnx_ops import OPERATORS  # noqa: PLC0415

    unknown: dict[str, str] = {}
    for number, node in enumerate(graph.node):
        if node.op_type not in OPERATORS or node.domain not in _STANDARD:
            name = f"{node.domain}.{node.op_type}" if node.domain not in _STANDARD else node.op_type
            unknown.setdefault(name, node.name or f"number {number}")
    if unknown:
        words = ", ".join(f"{operator} (node '{name}')" for operator, name in sorted(unknown.items()))
        raise ConversionError(
            f"the model has operators that have no LiteRT form here: {words}",
            remedy="export it with standard ONNX operators, or bring it as Keras, PyTorch or TensorFlow",
        )
