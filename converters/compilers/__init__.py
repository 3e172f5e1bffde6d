"""One compiler per backend, listed here."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from converters.compilers.arm import compile_arm
from converters.compilers.base import Compiler
from converters.compilers.coral.compile import compile_coral
from converters.compilers.coral.compiler import find_compiler
from converters.compilers.jetson.compile import compile_jetson
from converters.models import Form
from edge_sdk.profiles import Backend, HardwareProfile

COMPILERS: dict[Backend, Compiler] = {"litert": compile_arm, "edgetpu": compile_coral, "tensorrt": compile_jetson}


def compiler_for(profile: HardwareProfile, *, edgetpu_compiler: Path | None = None) -> Compiler:
    """Return the compiler for a board.

    Args:
        profile: The board.
        edgetpu_compiler: Where Google's compiler is, for a board that needs it; ``None`` to look for it.

    Raises:
        MissingDependency: It needs a vendor's program that is not installed.
    """
    if profile.runtime.backend == "edgetpu":
        return partial(compile_coral, compiler=find_compiler(edgetpu_compiler))
    return COMPILERS[profile.runtime.backend]


def form_for(profile: HardwareProfile) -> Form:
    """Return the form of a model that a board's compiler takes."""
    return "onnx" if profile.runtime.backend == "tensorrt" else "litert"
