"""Turning what goes wrong while a stranger's file is taken apart into one error."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError

# What Python raises for positions, names and numbers that cannot be; text that is not UTF-8 is a ValueError.
_SIGNS = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError, struct.error)


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Say that a file is damaged if taking it apart fails.

    Args:
        path: The file.
        kind: What it should be, e.g. ``an ONNX model``.

    Raises:
        ConversionError: It failed.
    """
    try:
        yield
    except _SIGNS as error:
        raise ConversionError(
            f"{path} cannot be read as {kind} (it is damaged: {first_line(error)})", remedy="export it again"
        ) from error
