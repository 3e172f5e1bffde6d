"""Reading and rewriting float32 LiteRT files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converters.flatbuffers import operator_name, write_model
from converters.importers.fitting import Shape
from converters.importers.signatures import with_signature
from converters.importers.tensorflow import SIGNATURE
from edge_sdk.errors import ConversionError

_PREFERRED = (SIGNATURE, "serving_default")
_WHOLE = {"FLOAT32", "INT32", "INT64", "BOOL", "RESOURCE", "VARIANT"}
_ANY = -1


@dataclass(frozen=True, kw_only=True)
class Ends:
    """Where a model begins and ends.

    Attributes:
        inputs: The main graph's tensor of each input, by name.
        outputs: Likewise.
        input_shapes: Sizes, ``None`` for one that is left open.
        output_shapes: Likewise.
    """

    inputs: dict[str, int]
    outputs: dict[str, int]
    input_shapes: dict[str, Shape]
    output_shapes: dict[str, Shape]


def check_float(model: Any) -> None:
    """Refuse a model that is not float32 throughout, or needs more than LiteRT's own operators.

    Raises:
        ConversionError: It is quantized, in half precision, or has custom operators.
    """
    names = _type_names()
    for graph in model.subgraphs:
        for operator in graph.operators:
            _check_operator(model, operator)
        for tensor in graph.tensors:
            if names[tensor.type] not in _WHOLE:
                raise ConversionError(
                    f"the model is quantized or in half precision already (tensor '{tensor.name.decode()}' is "
                    f"{names[tensor.type].lower()})",
                    remedy="bring the float32 model: it is quantized once, for the board",
                )


def _check_operator(model: Any, operator: Any) -> None:
    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        name = operator_name(model, operator)
        compiled = "it is compiled for an Edge TPU" if name == "edgetpu-custom-op" else f"it has the operator {name}"
        raise ConversionError(
            f"the model has operators that are not LiteRT's own: {compiled}",
            remedy="bring the model it was made of, with LiteRT's own operators only",
        )


def ends_of(model: Any) -> Ends:
    """Return a model's inputs and outputs of floats, by the names in its signature, or of its tensors.

    Raises:
        ConversionError: It has several signatures and none that is usual, or an input that is no float.
    """
    graph = model.subgraphs[0]
    signature = _signature(model)
    if signature:
        inputs = {item.name.decode(): int(item.tensorIndex) for item in signature.inputs}
        outputs = {item.name.decode(): int(item.tensorIndex) for item in signature.outputs}
    else:
        inputs = {_plain_name(graph.tensors[index]): int(index) for index in graph.inputs}
        outputs = {_plain_name(graph.tensors[index]): int(index) for index in graph.outputs}
    names = _type_names()
    for name, index in inputs.items():
        if names[graph.tensors[index].type] != "FLOAT32":
            raise ConversionError(
                f"the model's input '{name}' is {names[graph.tensors[index].type].lower()}",
                remedy="export it in float32",
            )
    outputs = {name: index for name, index in outputs.items() if names[graph.tensors[index].type] == "FLOAT32"}
    return Ends(
        inputs=inputs,
        outputs=outputs,
        input_shapes={name: _shape(graph.tensors[index]) for name, index in inputs.items()},
        output_shapes={name: _shape(graph.tensors[index]) for name, index in outputs.items()},
    )


def _signature(model: Any) -> Any:
    found = {item.signatureKey.decode(): item for item in model.signatureDefs or []}
    usual = [found[name] for name in _PREFERRED if name in found]
    if len(found) > 1 and not usual:
        raise ConversionError(
            f"the model has the signatures {', '.join(found)}, and none is called {' or '.join(_PREFERRED)}",
            remedy="export it with one signature",
        )
    chosen = next(iter(usual or found.values()), None)
    if chosen is not None and chosen.subgraphIndex:
        raise ConversionError("the model's signature is not of its main graph", remedy="export it with one signature")
    return chosen


def _plain_name(tensor: Any) -> str:
    return str(tensor.name.decode().removeprefix("serving_default_").partition(":")[0])


def _shape(tensor: Any) -> Shape:
    stored = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    signature = stored if tensor.shapeSignature is None else list(tensor.shapeSignature)
    is_open = bool(stored) and signature[0] == _ANY and stored[0] == 1
    return (None, *stored[1:]) if is_open else tuple(stored)


def renamed(model: Any, inputs: Mapping[str, int], output: str, tensor: int) -> bytes:
    """Return the model as a flatbuffer whose only signature has these names, with a batch of one.

    Args:
        model: The schema's ``ModelT``; it is changed.
        inputs: The main graph's tensors by name.
        output: A name for the output.
        tensor: The main graph's tensor of the output; what only other outputs need is left out.
    """
    graph = model.subgraphs[0]
    graph.inputs, graph.outputs = list(inputs.values()), [tensor]
    graph.operators = _needed(graph)
    _drop_unused_codes(model)
    return with_signature(write_model(model), inputs=list(inputs), output=output)


def _needed(graph: Any) -> list[Any]:
    wanted, kept = {int(index) for index in graph.outputs}, []
    for operator in reversed(graph.operators):
        if wanted.intersection(int(index) for index in operator.outputs):
            wanted.update(int(index) for index in operator.inputs)
            kept.append(operator)
    return kept[::-1]


def _drop_unused_codes(model: Any) -> None:
    """Keep only the operators' names that are used: runtimes refuse a model for one that they do not have."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    used = sorted({int(operator.opcodeIndex) for operator in operators})
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[index] for index in used]


def _type_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    return {number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
