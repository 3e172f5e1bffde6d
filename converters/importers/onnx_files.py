"""Reading ONNX files that strangers made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from converters.importers.folders import digest_of_files
from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes

_LARGEST_BYTES = 2**31 - 1  # what Protocol Buffers can hold
_QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}
_BRANCHES = {"If": "branches", "Scan": "scans"}


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """A model that was read and checked.

    Attributes:
        proto: The ``ModelProto``, all weights inside.
        sha256: Digest of the file; with weights in files beside it, of all of them.
        size_bytes: Of all of them.
    """

    proto: Any
    sha256: str
    size_bytes: int


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file, and the weights beside it.

    Raises:
        ConversionError: Damaged, too large, quantized, or asking for files outside its folder.
    """
    import onnx  # noqa: PLC0415  # heavy, and only this function needs it

    data = read_bytes(path, what="model")
    try:
        proto = onnx.ModelProto.FromString(data)
    except Exception as error:  # Protocol Buffers have an error of their own for each implementation
        raise _unreadable(path, first_line(error)) from error
    if not proto.graph.node:
        raise _unreadable(path, "it has no graph: another kind of file, or cut short")
    beside = [path.parent / name for name in sorted(_names_beside(proto, path))]
    size = len(data) + sum(each.stat().st_size for each in beside)
    if size > _LARGEST_BYTES:
        raise ConversionError(
            f"{path} has {size} bytes, and ONNX models are read up to {_LARGEST_BYTES}",
            remedy="make it smaller: no board this is for could hold it",
        )
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:  # ValidationError, OSError, ValueError …
        raise _unreadable(path, first_line(error)) from error
    _check_operators(proto)
    return OnnxFile(proto=proto, sha256=digest_of_files(path.parent, [path, *beside]), size_bytes=size)


def _names_beside(proto: Any, path: Path) -> set[str]:
    """Return the files that hold weights, by their names in the model's folder."""
    from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data  # noqa: PLC0415

    names = {ExternalDataInfo(tensor).location for tensor in _get_all_tensors(proto) if uses_external_data(tensor)}
    for name in names:
        inside = PurePosixPath(name)
        file = path.parent / name
        if inside.is_absolute() or ".." in inside.parts or "\\" in name or _leads_out(file, path.parent):
            raise _unreadable(path, f"its weights are to be read from '{name}', outside its folder")
        if not file.is_file():
            raise _unreadable(path, f"the file of its weights, '{name}', is not beside it")
    return names


def _leads_out(file: Path, folder: Path) -> bool:
    return file.is_symlink() or not file.resolve().is_relative_to(folder.resolve())


def _check_operators(proto: Any) -> None:
    nodes = [node for graph in (proto.graph, *proto.functions) for node in graph.node]
    for node in nodes:
        if node.op_type in _QUANTIZED or node.op_type.startswith("QLinear"):
            raise ConversionError(
                f"the model is quantized already (operator {node.op_type} of node '{node.name}')",
                remedy="bring the float model: it is quantized once, for the board",
            )
        if node.op_type in _BRANCHES:
            raise ConversionError(
                f"the model {_BRANCHES[node.op_type]} (operator {node.op_type} of node '{node.name}')",
                remedy="export it without control flow, or bring it as Keras or PyTorch",
            )


def _unreadable(path: Path, why: str) -> ConversionError:
    return ConversionError(f"{path} cannot be read as an ONNX model ({why})", remedy="export it again")
