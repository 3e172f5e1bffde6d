"""Coral's Edge TPU: the interpreter, with libedgetpu for the operators that the Edge TPU compiler took."""

from __future__ import annotations

import ctypes
import os

from device_agents.runtimes.base import Way
from device_agents.runtimes.interpreter import InterpreterRuntime, Library
from edge_sdk.errors import IncompatibleBundle, MissingDependency, Unavailable
from edge_sdk.manifest import Artifact

LIBRARY = "libedgetpu.so.1"
PATH_VARIABLE = "EDGETPU_LIBRARY"


def edgetpu(library: Library, model: bytes, artifact: Artifact, *, threads: int) -> InterpreterRuntime:
    """Load a model that the Edge TPU compiler made.

    Windows go one by one: what the compiler made takes no other number.

    Args:
        library: What interprets it.
        model: The flatbuffer, with the Edge TPU's own operator in it.
        artifact: What the bundle says about it.
        threads: For the operators that the compiler left to the processor.

    Raises:
        MissingDependency: libedgetpu is not installed.
        Unavailable: No Edge TPU answers.
        IncompatibleBundle: Interpreter and libedgetpu cannot run this model.
    """
    path = os.environ.get(PATH_VARIABLE) or LIBRARY
    _require(path)
    try:
        delegate = library.load_delegate(path)
    except ValueError as error:
        raise Unavailable(
            f"no Edge TPU answers ({_in_a_line(error)})",
            remedy="plug it in, see that 'lsusb' or 'lspci' lists it and that the agent's user may open it "
            "(group plugdev or apex), then start again",
        ) from error
    try:
        runtime = InterpreterRuntime(library, model, artifact, way=Way(threads=threads), delegates=(delegate,))
    except IncompatibleBundle as error:
        raise IncompatibleBundle(
            f"on the Edge TPU, {error.problem}",
            remedy=f"use the libedgetpu that was built for {library.name} {library.version}, and a model compiled for "
            "its runtime version or an older one",
        ) from error
    runtime.name = "edgetpu"
    return runtime


def _require(path: str) -> None:
    try:
        # Tried first: the interpreter's own loader leaves half an object behind when there is none.
        ctypes.CDLL(path)
    except OSError as error:
        raise MissingDependency(
            f"libedgetpu is not installed ({error})",
            remedy="install libedgetpu1-std from Coral's package source, or one built for the interpreter's version; "
            f"{PATH_VARIABLE} may name its file",
        ) from error


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())
