"""Fixing the sizes of a LiteRT model that leaves its batch open: quantizers and accelerators want numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.flatbuffers import operator_name
from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError

_ANY = -1


def fix_sizes(model: Any, data: bytes) -> None:
    """Write into a model that leaves sizes open those of one window, and compute what only depends on them.

    Args:
        model: The schema's ``ModelT``; it is changed.
        data: The flatbuffer that it was read from.

    Raises:
        ConversionError: LiteRT does not run it.
    """
    graph = model.subgraphs[0]
    if not any(_ANY in _signature(graph.tensors[index]) for index in graph.inputs):
        return
    interpreter = _run_once(data)
    sizes = {detail["index"]: detail["shape"] for detail in interpreter.get_tensor_details()}
    for index, tensor in enumerate(graph.tensors):
        if index in sizes:
            tensor.shape, tensor.shapeSignature = [int(size) for size in sizes[index]], None
    known = {index for index, tensor in enumerate(graph.tensors) if _is_constant(model, tensor)}
    left = []
    for operator in graph.operators:
        if not _depends_on_sizes(model, operator, known):
            left.append(operator)
            continue
        for index in map(int, operator.outputs):
            _set(model, graph.tensors[index], interpreter.get_tensor(index))
            known.add(index)
    graph.operators = left


def _signature(tensor: Any) -> list[int]:
    return [] if tensor.shapeSignature is None else [int(size) for size in tensor.shapeSignature]


def _run_once(data: bytes) -> Any:
    from ai_edge_litert import interpreter as litert  # noqa: PLC0415  # native, and only the child needs it

    try:
        found = litert.Interpreter(
            model_content=data,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            # Delegates leave tensors inside them unset.
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        found.allocate_tensors()
        for detail in found.get_input_details():
            found.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        found.invoke()
    except (RuntimeError, ValueError) as error:
        raise ConversionError(
            f"LiteRT does not run the model ({first_line(error)})", remedy="export it again with LiteRT's own operators"
        ) from error
    return found


def _is_constant(model: Any, tensor: Any) -> bool:
    held = model.buffers[tensor.buffer].data
    return held is not None and len(held) > 0


def _depends_on_sizes(model: Any, operator: Any, known: set[int]) -> bool:
    """Return whether an operator's outputs are known before the model runs: sizes, and what is computed of them."""
    inputs = [int(index) for index in operator.inputs if index >= 0]
    return operator_name(model, operator) == "SHAPE" or (bool(inputs) and known.issuperset(inputs))


def _set(model: Any, tensor: Any, value: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    model.buffers.append(schema.BufferT(data=np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)))
    tensor.buffer = len(model.buffers) - 1
