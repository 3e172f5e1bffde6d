"""Windows from arrays: an ``.npz`` file, or a mapping in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.window_sources.raw import RawWindows, as_array, refused
from edge_sdk.files import read_bytes


def from_npz(path: Path) -> RawWindows:
    """Read a file that `numpy.savez` wrote.

    Raises:
        ConfigError: There is no such file.
        ConversionError: It is something else, or broken.
    """
    data = read_bytes(path, what="window file")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # whatever a broken file makes numpy and zipfile stumble over
        raise refused(str(path), f"it is not an .npz of plain arrays ({error})", "write it with numpy.savez") from error
    return from_mapping(arrays, origin=str(path))


def from_mapping(values: Mapping[str, Any], *, origin: str) -> RawWindows:
    """Return arrays, or what can be made arrays, by name.

    Raises:
        ConversionError: A value is no array.
    """
    arrays = {}
    for name, value in values.items():
        try:
            arrays[str(name)] = as_array(value)
        except (ValueError, TypeError) as error:
            raise refused(origin, f"'{name}' is no array ({error})", "give windows of one shape") from error
    return RawWindows(origin=origin, arrays=arrays)
