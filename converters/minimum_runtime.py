"""The oldest runtime that runs a flatbuffer, worked out from the versions of its operators.

A runtime refuses a model that names an operator in a version it does not know. Which release knows which version is
measured: ``operator_versions.toml``.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import msgspec

from converters.flatbuffers import code_name, operator_name, operator_version, read_model
from edge_sdk.errors import ConversionError
from edge_sdk.settings import load_toml

_FLOAT32, _INT8 = 0, 9  # of the schema's TensorType
# FULLY_CONNECTED with float inputs and a scale for each row of int8 weights, by TensorFlow's op_version.cc. Older
# kernels read the first scale only, and LiteRT's quantizer does not raise the version for them.
_ROW_SCALES_VERSION = 12
# Custom operators that every release registers, by TensorFlow Lite's register.cc.
_CUSTOM = {"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"}

Needed = dict[str, int]


def minimum_runtime(flatbuffer: bytes) -> str:
    """Return the oldest LiteRT release that knows every operator of a model; empty when tflite-runtime 2.14 does too.

    Raises:
        ConversionError: No release knows them all, or not a flatbuffer.
    """
    needed = _needed(read_model(flatbuffer))
    releases = _table().releases
    for index, release in enumerate(releases):
        if not _unknown(needed, index):
            return "" if index == 0 else release.partition("==")[2]
    raise ConversionError(
        f"no release of LiteRT up to {releases[-1].partition('==')[2]} has {', '.join(_unknown(needed, -1))}",
        remedy="replace the layers that need them",
    )


def newer_operators(flatbuffer: bytes) -> tuple[str, ...]:
    """Return the operators that tflite-runtime 2.14 does not know, e.g. ``FULLY_CONNECTED version 12``."""
    return _unknown(_needed(read_model(flatbuffer)), 0)


def _unknown(needed: Needed, release: int) -> tuple[str, ...]:
    known = _table().operators
    return tuple(
        f"{name} version {version}"
        for name, version in sorted(needed.items())
        if name not in _CUSTOM and (name not in known or known[name][release] < version)
    )


def _needed(model: Any) -> Needed:
    """Return the highest version of each operator that a runtime must know."""
    needed: Needed = {}
    for code in model.operatorCodes:  # a runtime looks up even those that no operator uses
        needed[code_name(code)] = max(needed.get(code_name(code), 0), int(code.version))
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = operator_name(model, operator)
            needed[name] = max(needed[name], _least_version(model, graph, operator))
    return needed


def _least_version(model: Any, graph: Any, operator: Any) -> int:
    """Return the version that an operator needs by what it is given, whatever the file says."""
    declared = operator_version(model, operator)
    if operator_name(model, operator) != "FULLY_CONNECTED":
        return declared
    given, weights = (graph.tensors[index] for index in operator.inputs[:2])
    scales = weights.quantization.scale if weights.quantization else None
    by_row = given.type == _FLOAT32 and weights.type == _INT8 and scales is not None and len(scales) > 1
    return max(declared, _ROW_SCALES_VERSION) if by_row else declared


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The highest version of each operator in each release, oldest first; 0 for none."""

    releases: tuple[str, ...]
    operators: dict[str, tuple[int, ...]]


@cache
def _table() -> _Table:
    with resources.as_file(resources.files("converters") / "operator_versions.toml") as path:
        return load_toml(path, _Table, what="table of operator versions", error=ConversionError)
