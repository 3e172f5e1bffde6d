"""What a model needs, held against what a board has, before anything is sealed. The error says what to change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from converters.flatbuffers import read_model
from edge_sdk.errors import ConversionError
from edge_sdk.profiles import DType, HardwareProfile

# The promise of the agent: its whole process while it runs one ECG model.
AGENT_BYTES = 64 * 1024 * 1024
# A board's memory is not its own: the system, drivers and other programs get the other half.
_SHARE = 0.5
# The bundle is read whole, and its model loaded beside it.
_COPIES = 2
_NAMED: frozenset[str] = frozenset(get_args(DType))
_SLOW = "int16", "LiteRT has no accelerated kernels for it: measured 25 times slower than int8 on a workstation"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What running a model takes.

    Attributes:
        file_bytes: Size of the file.
        working_bytes: Most that its activations take at any time.
        dtypes: Of its tensors, numpy's names.
    """

    file_bytes: int
    working_bytes: int
    dtypes: frozenset[str]


def check_limits(needs: Needs, profile: HardwareProfile) -> tuple[str, ...]:
    """Return what a reader of the report should know: types the board takes, but slowly.

    Raises:
        ConversionError: The board has too little memory, or does not take one of the model's types.
    """
    _check_types(needs, profile)
    _check_memory(needs, profile)
    return _slow_types(needs, profile)


def _check_types(needs: Needs, profile: HardwareProfile) -> None:
    # Boolean and index tensors are no arithmetic, and float32 and int8 are what profiles are about.
    unknown = sorted((needs.dtypes & _NAMED) - set(profile.runtime.dtypes))
    if unknown:
        raise ConversionError(
            f"the model has tensors in {', '.join(unknown)}, which {profile.name} does not take",
            remedy=f"use a recipe for {', '.join(profile.runtime.dtypes)}",
        )


def _check_memory(needs: Needs, profile: HardwareProfile) -> None:
    wanted = AGENT_BYTES + _COPIES * needs.file_bytes + needs.working_bytes
    spare = int(profile.memory_bytes * _SHARE)
    if wanted > spare:
        raise ConversionError(
            f"the model needs {_mib(wanted)} with the agent ({_COPIES} x {_mib(needs.file_bytes)} for the file, "
            f"{_mib(needs.working_bytes)} for activations), and {profile.name} has {_mib(spare)} to spare "
            f"of {_mib(profile.memory_bytes)}",
            remedy="use int8 (a quarter of float32's size), a smaller model, or a board with more memory",
        )


def _slow_types(needs: Needs, profile: HardwareProfile) -> tuple[str, ...]:
    slow = sorted(needs.dtypes & set(profile.runtime.dtypes) - set(profile.runtime.fast_dtypes))
    reasons = dict([_SLOW]) if profile.runtime.backend == "litert" else {}
    fast = ", ".join(profile.runtime.fast_dtypes)
    return tuple(
        f"{profile.name} is not fast with {dtype}"
        + (f" ({reasons[dtype]})" if dtype in reasons else f", but with {fast}")
        for dtype in slow
    )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operator: the activations it reads and gives, by name."""

    reads: tuple[str, ...]
    gives: tuple[str, ...]


def peak_bytes(steps: Sequence[Step], sizes: Mapping[str, int], *, kept: Iterable[str] = ()) -> int:
    """Return the most bytes that activations take at once, each from the step that gives it to the last that reads it.

    Args:
        steps: In the order they run.
        sizes: Of activations, bytes; what is not in it, such as weights, counts nothing.
        kept: Names that stay to the end: the model's outputs.
    """
    last = {name: index for index, step in enumerate(steps) for name in (*step.gives, *step.reads)}
    last.update(dict.fromkeys(kept, len(steps)))
    given = {name for step in steps for name in step.gives}
    alive = {name for step in steps for name in step.reads if name not in given and name in sizes}
    peak = 0
    for index, step in enumerate(steps):
        alive.update(name for name in step.gives if name in sizes)
        peak = max(peak, sum(sizes[name] for name in alive))
        alive = {name for name in alive if last[name] > index}
    return peak


def flatbuffer_needs(data: bytes) -> Needs:
    """Return what a LiteRT model needs."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415  # only a workstation has it

    model = read_model(data)
    names = {number: name.lower() for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
    peaks, dtypes = [], set()
    for graph in model.subgraphs:
        weights = {
            index for index, tensor in enumerate(graph.tensors) if _stored(model.buffers[tensor.buffer].data) > 0
        }
        sizes = {
            str(index): _litert_bytes(tensor, names)
            for index, tensor in enumerate(graph.tensors)
            if index not in weights
        }
        steps = [
            Step(reads=tuple(map(str, operator.inputs)), gives=tuple(map(str, operator.outputs)))
            for operator in graph.operators
        ]
        peaks.append(peak_bytes(steps, sizes, kept=map(str, graph.outputs)))
        dtypes |= {names[tensor.type] for tensor in graph.tensors}
    return Needs(file_bytes=len(data), working_bytes=sum(peaks), dtypes=frozenset(dtypes))


def _stored(values: Any) -> int:
    return 0 if values is None else len(values)


def _litert_bytes(tensor: Any, names: Mapping[int, str]) -> int:
    digits = "".join(filter(str.isdigit, names[tensor.type]))
    shape = () if tensor.shape is None else tensor.shape
    return math.prod(max(1, int(size)) for size in shape) * max(1, int(digits or 8) // 8)


def onnx_needs(data: bytes) -> Needs:
    """Return what an ONNX model needs. What loops keep inside is not counted."""
    import onnx  # noqa: PLC0415  # only a workstation has it

    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data)).graph
    weights = _constants(graph)
    described = {value.name: value.type.tensor_type for value in (*graph.input, *graph.value_info, *graph.output)}
    sizes = {name: _onnx_bytes(tensor) for name, tensor in described.items() if name not in weights}
    steps = [Step(reads=tuple(node.input), gives=tuple(node.output)) for node in graph.node]
    types = {tensor.elem_type for tensor in described.values()} | {stored.data_type for stored in graph.initializer}
    return Needs(
        file_bytes=len(data),
        working_bytes=peak_bytes(steps, sizes, kept=[value.name for value in graph.output]),
        dtypes=frozenset(_onnx_dtype(number).name for number in types if number),
    )


def _constants(graph: Any) -> set[str]:
    """Return the names of all that does not depend on the inputs: weights, and what is made of them alone."""
    known = {stored.name for stored in graph.initializer}
    for node in graph.node:  # in topological order, by the standard
        if all(name in known for name in node.input if name) and not _holds_a_graph(node):
            known.update(node.output)
    return known


def _holds_a_graph(node: Any) -> bool:
    return any(attribute.g.node or attribute.graphs for attribute in node.attribute)


def _onnx_dtype(number: int) -> Any:
    import onnx  # noqa: PLC0415

    return onnx.helper.tensor_dtype_to_np_dtype(number)


def _onnx_bytes(tensor: Any) -> int:
    if not tensor.elem_type:
        return 0
    count: int = math.prod(max(1, size.dim_value) for size in tensor.shape.dim)
    itemsize: int = _onnx_dtype(tensor.elem_type).itemsize
    return count * itemsize
