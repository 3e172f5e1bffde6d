"""One compiler per backend, listed here."""

from __future__ import annotations

from converters.compilers.arm import compile_arm
from converters.compilers.base import Compiler
from edge_sdk.errors import ConversionError
from edge_sdk.profiles import HardwareProfile

COMPILERS: dict[str, Compiler] = {"litert": compile_arm}


def compiler_for(profile: HardwareProfile) -> Compiler:
    """Return the compiler for a board.

    Raises:
        ConversionError: This version has none for its backend.
    """
    backend = profile.runtime.backend
    if backend not in COMPILERS:
        raise ConversionError(
            f"{profile.name} runs {backend} models, and this version has no compiler for them",
            remedy="choose a board that runs litert; 'edge-convert targets' lists them",
        )
    return COMPILERS[backend]
