"""Reading a CSV file: cells by column and line, numbers with a reason where there are none."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.window_sources.raw import nearest, refused
from edge_sdk.files import read_bytes

_MISSING = {"", "?", "na", "n/a", "nan", "null", "none"}
_SEPARATORS = {";": "semicolons", "\t": "tabs"}
_LINES_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells of a file.

    Attributes:
        origin: The file.
        places: Place of each column by its name, in the header's order.
        rows: The cells of each row, as many as there are columns.
        lines: Which line of the file each row ends on, from 1.
    """

    origin: str
    places: dict[str, int]
    rows: list[list[str]]
    lines: list[int]

    def texts(self, name: str) -> list[str]:
        """Return a column."""
        return [row[self.places[name]].strip() for row in self.rows]

    def numbers(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return columns, shape (rows, names).

        Raises:
            ConversionError: A column is missing, or a cell is empty or no number; says which line.
        """
        absent = [name for name in names if name not in self.places]
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            hint = nearest(absent[0], self.places) or "the contract's inputs and quantities name the columns"
            raise refused(self.origin, f"column '{absent[0]}'{more} is missing", hint)
        places = [self.places[name] for name in names]
        values = np.array([self._numbers(number, places) for number in range(len(self.rows))], np.float64)
        values = values.reshape(len(self.rows), len(names))
        self._check_complete(values)
        return values

    def _numbers(self, number: int, places: list[int]) -> list[float]:
        row = self.rows[number]
        try:
            return [float(row[place]) for place in places]
        except ValueError:  # rare, so only then cell by cell
            return [self._number(row[place], line=self.lines[number], place=place) for place in places]

    def _number(self, cell: str, *, line: int, place: int) -> float:
        if cell.strip().lower() in _MISSING:
            return float("nan")
        try:
            return float(cell)
        except ValueError as error:
            name = list(self.places)[place]
            raise refused(
                self.origin, f"line {line}, column '{name}': '{cell}' is no number", "code it as the model was trained"
            ) from error

    def _check_complete(self, values: NDArray[np.float64]) -> None:
        lines = [str(self.lines[row]) for row in np.flatnonzero(np.isnan(values).any(axis=1))]
        if not lines:
            return
        named = ", ".join(lines[:_LINES_NAMED]) + (" …" if len(lines) > _LINES_NAMED else "")
        raise refused(
            self.origin,
            f"{len(lines)} of {len(self.rows)} rows have missing values, on line {named}",
            "leave those rows out: a device never shows such a window to a model",
        )


def read_table(path: Path) -> Table:
    """Read a file with a header and columns separated by commas.

    Raises:
        ConfigError: There is no such file.
        ConversionError: It is no such table; says which line and why.
    """
    origin = str(path)
    try:
        text = read_bytes(path, what="window file").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(origin, f"it is not UTF-8 ({error.reason})", "save it as 'CSV UTF-8'") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        cells = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise refused(origin, f"line {reader.line_num}: {error}", "correct that line") from error
    if not cells:
        raise refused(origin, "it is empty", "give a header and a row for each window")
    (_, header), *body = cells
    places = _places(origin, [name.strip() for name in header])
    for line, row in body:
        if len(row) != len(places):
            raise refused(
                origin, f"line {line} has {len(row)} cells, and the header {len(places)}", "correct that line"
            )
    return Table(origin=origin, places=places, rows=[row for _, row in body], lines=[line for line, _ in body])


def _places(origin: str, header: list[str]) -> dict[str, int]:
    for separator, word in _SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            raise refused(origin, f"its columns are separated by {word}", "separate them by commas")
    places: dict[str, int] = {}
    for number, name in enumerate(header):
        if not name:
            raise refused(origin, f"column {number + 1} has no name", "name it; with pandas, write index=False")
        if name in places:
            raise refused(origin, f"column '{name}' is there twice", "keep one")
        places[name] = number
    return places
