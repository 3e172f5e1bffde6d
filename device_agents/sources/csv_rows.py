"""The rows of a CSV file as numbers, a few thousand at a time; what is no number is refused with its line."""

from __future__ import annotations

import csv
import datetime as dt
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ConfigError, SignalError
from edge_sdk.tensors import FloatArray

TimeUnit = Literal["s", "ms", "unix_s", "unix_ms", "iso"]
"""Seconds or milliseconds since whenever, or since 1970 (UTC), or date and time of day (ISO 8601, UTC if not said)."""

_MISSING = {"", "nan", "na", "null", "none"}
_ROWS = 4_096
_LARGEST = float(np.finfo(np.float32).max)
_OTHER_DELIMITERS = (";", "\t", ",", "|")


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows.

    Attributes:
        times_s: Time of each, seconds, increasing; empty when no time column was asked for.
        values: Shape (rows, columns), NaN where a cell is empty.
    """

    times_s: NDArray[np.float64]
    values: FloatArray


class CsvTable:
    """A CSV file, never held whole. Lines that begin with ``#`` are passed over.

    So are empty lines, except in a file of one column, where they are missing samples.

    Args:
        path: The file.
        delimiter: Between its columns.

    Attributes:
        names: Of the columns: the first line's words or, when that line holds only numbers, ``"1"``, ``"2"``, …

    Raises:
        ConfigError: There is no such file.
        SignalError: It is empty, or not text.
    """

    def __init__(self, path: Path, *, delimiter: str) -> None:
        self._path, self._delimiter = path, delimiter
        first = next((cells for _, cells in self._cells() if cells), None)
        if first is None:
            raise SignalError(f"{path} is empty", remedy="get the recording again")
        self._has_names = not all(_is_number(cell) for cell in first)
        numbers = [str(number) for number in range(1, len(first) + 1)]
        self.names = [cell.strip() for cell in first] if self._has_names else numbers
        if len(first) == 1:
            self._check_delimiter(first[0])

    def rows(self, columns: Sequence[str], *, time: str = "", unit: TimeUnit = "s") -> Iterator[Rows]:
        """Yield the named columns, and the time column's times.

        Raises:
            SignalError: A cell is no number, a line has not every column, or times do not increase.
        """
        places = [self.names.index(name) for name in columns]
        time_place = self.names.index(time) if time else None
        clock, values, times, last_s = _CLOCKS[unit], [], [], -math.inf
        for line, cells in self._data():
            try:
                values.append([_value(cells[place]) for place in places])
                if time_place is not None:
                    times.append(clock(cells[time_place]))
            except (ValueError, OverflowError) as error:
                raise self._wrong(line, str(error), "correct it") from error
            if times and not last_s < times[-1] < math.inf:
                raise self._wrong(line, "its time is not after the one before", "sort the rows, without doubles")
            last_s = times[-1] if times else last_s
            if len(values) == _ROWS:
                yield _rows(times, values)
                values, times = [], []
        if values:
            yield _rows(times, values)

    def _data(self) -> Iterator[tuple[int, list[str]]]:
        lines = self._cells()
        if self._has_names:
            next(line for line in lines if line[1])
        for number, cells in lines:
            if any(cells[len(self.names) :]) or 0 < len(cells) < len(self.names):
                raise self._wrong(number, f"{len(cells)} cells where there are {len(self.names)} columns", "correct it")
            if cells:
                yield number, cells
            elif len(self.names) == 1:
                yield number, [""]

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.reader(stream, delimiter=self._delimiter)
                for cells in reader:
                    if not cells or not cells[0].startswith("#"):
                        yield reader.line_num, cells
        except FileNotFoundError as error:
            raise ConfigError(f"recording {self._path} does not exist", remedy="check the path") from error
        except OSError as error:
            raise ConfigError(f"recording {self._path} cannot be read ({error.strerror})", remedy="check it") from error
        except (csv.Error, UnicodeDecodeError) as error:
            raise SignalError(f"{self._path} is no CSV file ({error})", remedy="save it as UTF-8 text") from error

    def _check_delimiter(self, cell: str) -> None:
        for other in _OTHER_DELIMITERS:
            if other in cell and other != self._delimiter:
                raise SignalError(
                    f"{self._path} has one column when it is split at {self._delimiter!r}",
                    remedy=f"set delimiter = {other!r} under [source]",
                )

    def _wrong(self, line: int, problem: str, remedy: str) -> SignalError:
        return SignalError(f"{self._path}, line {line}: {problem}", remedy=remedy)


def _rows(times: list[float], values: list[list[float]]) -> Rows:
    return Rows(np.array(times, np.float64), np.array(values, np.float32))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _value(cell: str) -> float:
    if cell.strip().lower() in _MISSING:
        return math.nan
    value = float(cell)
    if not abs(value) <= _LARGEST:
        raise ValueError(f"{cell} is not a finite number")
    return value


def _iso_s(cell: str) -> float:
    text = cell.strip().replace("Z", "+00:00").replace("z", "+00:00")
    head, point, rest = text.partition(".")
    if point:  # Python 3.10 reads three or six digits only
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{digits:0<6.6}{rest[len(digits) :]}"
    when = dt.datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=dt.timezone.utc)).timestamp()


_CLOCKS: dict[TimeUnit, Callable[[str], float]] = {
    "s": float,
    "unix_s": float,
    "ms": lambda cell: float(cell) / 1e3,
    "unix_ms": lambda cell: float(cell) / 1e3,
    "iso": _iso_s,
}
