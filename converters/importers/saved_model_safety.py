"""Refusing SavedModels that could do more than compute: a graph of TensorFlow can read files and call Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes

_FILE = "saved_model.pb"
# Operators that touch files, the network, other programs or Python, by TensorFlow's names for them.
_REACHING = re.compile(
    r"PyFunc|File(?!name)|Reader|Dataset|Iterator|Print|Rpc|Socket|RemoteCall|Lmdb|Bigtable|Kafka|PubSub|Summary|"
    r"^Debug|^_?Send|^_?Recv|Abort|HostCompute"
)
# Every SavedModel has these, to load its weights; a model's answers have no use for them.
_KEEPING = re.compile(r"^(Save|Restore|MergeV2Checkpoints|Checkpoint)")
_LOOPS = {"While", "StatelessWhile"}
_LARGEST_BYTES = 2**31 - 1  # what Protocol Buffers can hold


def check_harmless(folder: Path) -> bool:
    """Refuse a SavedModel with operators that reach beyond it. Nothing of it is run, or loaded into TensorFlow.

    Returns:
        Whether its answers need a loop.

    Raises:
        ConversionError: It has one, or is no SavedModel.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel  # noqa: PLC0415  # heavy, and only used here

    if not (folder / _FILE).is_file():
        raise _damaged(folder, f"it has no {_FILE}")
    if (folder / _FILE).stat().st_size > _LARGEST_BYTES:
        raise _damaged(folder, "its graph is too large")
    data = read_bytes(folder / _FILE, what="model")
    try:
        graphs = SavedModel.FromString(data).meta_graphs
    except Exception as error:  # Protocol Buffers have an error of their own for each implementation
        raise _damaged(folder, "its graph is damaged") from error
    if not graphs:
        raise _damaged(folder, "it has no graph")
    loops = False
    for graph in graphs:
        functions = {function.signature.name: function for function in graph.graph_def.library.function}
        for node in (*graph.graph_def.node, *(node for each in functions.values() for node in each.node_def)):
            _check(node, _REACHING)
        for node in _answering(graph, functions):
            _check(node, _KEEPING)
            loops |= node.op in _LOOPS
    return loops


def _check(node: Any, forbidden: re.Pattern[str]) -> None:
    if forbidden.search(node.op):
        raise ConversionError(
            f"the model's operator {node.op} (node '{node.name}') reaches beyond the model",
            remedy="export the network alone, without what reads, writes or prints",
        )


def _answering(graph: Any, functions: dict[str, Any]) -> Iterator[Any]:
    """Yield the nodes that any signature's answers, or the model's start, depend on."""
    nodes = {node.name: node for node in graph.graph_def.node}
    wanted = [tensor.name for signature in graph.signature_def.values() for tensor in signature.outputs.values()]
    reached = _upstream([_node_name(name) for name in wanted], nodes)
    yield from reached
    called, waiting = set(), [name for node in reached for name in _called(node)]
    while waiting:
        name = waiting.pop()
        if name in functions and name not in called:
            called.add(name)
            yield from functions[name].node_def
            waiting += [inner for node in functions[name].node_def for inner in _called(node)]


def _upstream(names: list[str], nodes: dict[str, Any]) -> list[Any]:
    """Return these nodes and all that they depend on."""
    found: dict[str, Any] = {}
    while names:
        name = names.pop()
        if name in nodes and name not in found:
            found[name] = nodes[name]
            names += map(_node_name, nodes[name].input)
    return list(found.values())


def _called(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _damaged(folder: Path, why: str) -> ConversionError:
    return ConversionError(
        f"{folder} cannot be loaded as a SavedModel ({why})", remedy="export it again, the whole folder"
    )
