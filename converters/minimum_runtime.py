"""The oldest runtime that runs a flatbuffer, worked out from the versions of its operators.

A runtime refuses a model that names an operator in a version it does not know. Which release knows which version is
measured: ``operator_versions.toml``. In a few cases the file does not say what its operators need, and an older runtime
would compute something else; they are told by their tensors.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from math import prod
from typing import Any

import msgspec

from converters.flatbuffers import code_name, operator_name, operator_version, read_model
from edge_sdk.errors import ConversionError
from edge_sdk.settings import load_toml

_FLOAT32, _INT16, _INT8 = 0, 7, 9  # of the schema's TensorType
# FULLY_CONNECTED with float inputs and a scale for each row of int8 weights, by TensorFlow's op_version.cc. Older
# kernels read the first scale only, and LiteRT's quantizer does not raise the version for them.
_ROW_SCALES_VERSION = 12
# Measured: with int16 inputs of several vectors, older kernels apply those scales to the first vector only. No version
# tells it.
_ROW_SCALES_INT16 = "ai-edge-litert==1.1.1"
# Custom operators that every release registers, by TensorFlow Lite's register.cc.
_CUSTOM = {"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"}


def minimum_runtime(flatbuffer: bytes) -> str:
    """Return the oldest LiteRT release that computes every operator of a model; empty when tflite-runtime 2.14 does.

    Raises:
        ConversionError: No release has them all, or not a flatbuffer.
    """
    first, releases = _first_releases(flatbuffer), _table().releases
    nowhere = [words for words, release in first.items() if release is None]
    if nowhere:
        raise ConversionError(
            f"no release of LiteRT up to {_number(releases[-1])} has {', '.join(nowhere)}",
            remedy="replace the layers that need them",
        )
    latest = max((release for release in first.values() if release is not None), default=0)
    return _number(releases[latest]) if latest else ""


def newer_operators(flatbuffer: bytes) -> tuple[str, ...]:
    """Return the operators that tflite-runtime 2.14 does not have, e.g. ``FULLY_CONNECTED version 12``."""
    return tuple(words for words, release in _first_releases(flatbuffer).items() if release != 0)


def _number(release: str) -> str:
    return release.partition("==")[2]


def _first_releases(flatbuffer: bytes) -> dict[str, int | None]:
    """Return the first release that has each operator a model needs, as its place in the table; ``None`` for none."""
    model = read_model(flatbuffer)
    # A runtime looks up even those that no operator uses.
    needed = {(code_name(code), int(code.version)) for code in model.operatorCodes}
    operators = [(graph, operator) for graph in model.subgraphs for operator in graph.operators]
    by_row = [
        (graph.tensors[operator.inputs[0]], operator_version(model, operator))
        for graph, operator in operators
        if operator_name(model, operator) == "FULLY_CONNECTED" and _scaled_by_row(graph.tensors[operator.inputs[1]])
    ]
    needed |= {
        ("FULLY_CONNECTED", max(version, _ROW_SCALES_VERSION)) for given, version in by_row if given.type == _FLOAT32
    }
    first = {f"{name} version {version}": _first_release(name, version) for name, version in sorted(needed)}
    if any(given.type == _INT16 and prod(given.shape[:-1]) > 1 for given, _ in by_row):
        first["FULLY_CONNECTED of several int16 vectors"] = _table().releases.index(_ROW_SCALES_INT16)
    return first


def _scaled_by_row(weights: Any) -> bool:
    scales = weights.quantization.scale if weights.quantization else None
    return weights.type == _INT8 and scales is not None and len(scales) > 1


def _first_release(name: str, version: int) -> int | None:
    if name in _CUSTOM:
        return 0
    known = _table().operators.get(name, ())
    return next((release for release, highest in enumerate(known) if highest >= version), None)


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The highest version of each operator in each release, oldest first; 0 for none."""

    releases: tuple[str, ...]
    operators: dict[str, tuple[int, ...]]


@cache
def _table() -> _Table:
    with resources.as_file(resources.files("converters") / "operator_versions.toml") as path:
        return load_toml(path, _Table, what="table of operator versions", error=ConversionError)
