"""Windows from a CSV file: one a row, in columns that the contract names."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np

from converters.window_sources.raw import GROUP, Array, RawWindows, nearest, refused
from converters.window_sources.table import Table, read_table
from edge_sdk.contracts import ModelContract

_NOGROUP = "unknown"
_LABELS = ("label", "labels")


def from_csv(path: Path, contract: ModelContract, *, labelled: bool) -> RawWindows:
    """Read a file whose columns are named as the contract's features, or ``w0``, ``w1`` … for a waveform.

    The waveform's columns are its values in time, channel by channel at each time. ``label``, the contract's
    quantities and ``group_NAME`` may be there too, and nothing else.

    Raises:
        ConfigError: There is no such file.
        ConversionError: It is no table of windows; says which line or column and why.
    """
    table = read_table(path)
    parts = {wanted.takes: wanted for wanted in contract.input.inputs}
    columns = {
        name: list(part.features) or [f"w{index}" for index in range(prod(part.shape))] for name, part in parts.items()
    }
    quantities = [quantity.name for quantity in contract.output.quantities]
    _check_columns(table, {name for names in columns.values() for name in names}.union(quantities, _LABELS))
    arrays: dict[str, Array] = {
        name: table.numbers(columns[name]).reshape(len(table.rows), *part.shape) for name, part in parts.items()
    }
    if labelled:
        if quantities:
            arrays["targets"] = table.numbers(quantities)
        for name in _LABELS:
            if name in table.places:
                arrays["labels"] = np.array(table.texts(name), np.str_)
    for name in table.places:
        if name.startswith(GROUP):
            arrays[name] = np.array([text or _NOGROUP for text in table.texts(name)], np.str_)
    return RawWindows(origin=str(path), arrays=arrays)


def _check_columns(table: Table, known: set[str]) -> None:
    for name in table.places:
        if name not in known and not name.startswith(GROUP):
            raise refused(
                table.origin,
                f"column '{name}' is nothing that the contract names",
                nearest(name, known.difference(table.places))
                or f"remove it, or call it '{GROUP}{name}' if it says which group a window belongs to",
            )
