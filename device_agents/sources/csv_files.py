"""Replaying a CSV file: even rows, even rows with time stamps that tell the gaps, or rows at uneven times."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device_agents.sources.blocks import in_blocks, missing
from device_agents.sources.csv_rows import CsvTable, Rows, TimeUnit
from device_agents.sources.fit import LOWEST_RATE_HZ, check_rate, check_unit, choose_channels
from device_agents.sources.resampling import RateResampler
from device_agents.sources.resampling_irregular import LONGEST_GAP_S, IrregularResampler
from edge_sdk.errors import SignalError
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray

_RATE_TOLERANCE = 0.01
_ABSOLUTE: tuple[TimeUnit, ...] = ("unix_s", "unix_ms", "iso")


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTimes:
    """When rows were taken.

    Attributes:
        column: Of the time stamps; empty for none, and then ``sample_rate_hz`` must be given.
        unit: Of the stamps.
        sample_rate_hz: Of the rows, which stamps then only tell gaps of; 0 for rows at uneven times, which are
            resampled to the model's rate.
    """

    column: str = ""
    unit: TimeUnit = "s"
    sample_rate_hz: float = 0.0


class CsvRecording:
    """Implements `Replayable` on a CSV file, whose every row is read once when it is opened.

    Args:
        path: The file.
        wanted: What the model reads.
        unit: Unit of the columns.
        times: When the rows were taken.
        channels: Columns to use whatever ``wanted`` prefers.
        delimiter: Between columns.

    Raises:
        ConfigError: The file is not there.
        SignalError: It cannot be read, or is not what the model reads.
    """

    def __init__(
        self,
        path: Path,
        *,
        wanted: SignalFormat,
        unit: str,
        times: RowTimes,
        channels: Sequence[str] = (),
        delimiter: str = ",",
    ) -> None:
        self._what, self._times, self._table = f"recording {path}", times, CsvTable(path, delimiter=delimiter)
        if times.column and times.column not in self._table.names:
            has = ", ".join(self._table.names)
            raise SignalError(f"{self._what} has no column {times.column}; it has {has}", remedy="correct time")
        has_signals = [name for name in self._table.names if name != times.column]
        self._columns = choose_channels(self._what, has_signals, wanted=wanted, named=channels)
        check_unit(self._what, self._columns[0], unit, wanted=wanted)
        self.format = SignalFormat(
            kind=wanted.kind, unit=unit, channels=tuple(self._columns), sample_rate_hz=wanted.sample_rate_hz
        )
        self._longest_gap_s = 2 / LOWEST_RATE_HZ[wanted.kind]  # one sample may be lacking at the lowest usable rate
        self.start_time_ns: int | None = None
        if times.sample_rate_hz:
            remedy = "resample it, use a model for its rate, or leave sample_rate_hz out if its rows have times"
            check_rate(self._what, times.sample_rate_hz, wanted=wanted, remedy=remedy)
        self._row_rate_hz = self._surveyed()
        self._check_times()
        described = f"{_sha256(path)} {self._columns} {unit} {times} {wanted.sample_rate_hz}"
        self.identity = hashlib.sha256(described.encode()).hexdigest()[:16]

    def values(self, *, block: int) -> Iterator[FloatArray]:
        """Yield the samples at the model's rate, shape (block, channels) and a shorter last one; NaN where missing."""
        yield from in_blocks(self._even() if self._times.sample_rate_hz else self._resampled(), block=block)

    def _rows(self) -> Iterator[Rows]:
        return self._table.rows(self._columns, time=self._times.column, unit=self._times.unit)

    def _surveyed(self) -> float:
        """Read everything once, and return how many rows there are a second where there is no gap."""
        claimed_hz = self._times.sample_rate_hz
        limit_s = 1.5 / claimed_hz if claimed_hz else self._longest_gap_s
        intervals = rows = 0
        last_s, seconds = math.nan, 0.0
        for part in self._rows():
            rows += len(part.values)
            if len(part.times_s):
                if self.start_time_ns is None and self._times.unit in _ABSOLUTE:
                    self.start_time_ns = round(part.times_s[0] * 1e9)
                apart = np.diff(part.times_s, prepend=last_s)
                bridged = apart[apart <= limit_s]
                intervals, seconds = intervals + len(bridged), seconds + float(bridged.sum())
                last_s = float(part.times_s[-1])
                if (apart > LONGEST_GAP_S).any():
                    raise SignalError(f"{self._what} has a gap of more than a day", remedy="make two recordings of it")
        if not rows:
            raise SignalError(f"{self._what} has no rows", remedy="get the recording again")
        return (intervals / seconds if seconds else 0.0) if self._times.column else claimed_hz

    def _check_times(self) -> None:
        claimed_hz, found_hz, kind = self._times.sample_rate_hz, self._row_rate_hz, self.format.kind
        if claimed_hz and abs(found_hz / claimed_hz - 1) > _RATE_TOLERANCE:
            raise SignalError(
                f"{self._what} has {found_hz:.4g} rows a second by its times, not {claimed_hz:g}",
                remedy="correct sample_rate_hz, or leave it out for rows at uneven times",
            )
        if not claimed_hz and found_hz < LOWEST_RATE_HZ[kind]:
            raise SignalError(
                f"{self._what} has {found_hz:.3g} rows a second, and {kind} needs at least {LOWEST_RATE_HZ[kind]:g}",
                remedy="check time and its unit, or take more samples",
            )

    def _even(self) -> Iterator[FloatArray]:
        rate_hz, last_s = self._times.sample_rate_hz, math.nan
        for part in self._rows():
            begin = 0
            apart = np.diff(part.times_s, prepend=last_s)
            for row in np.flatnonzero(apart > 1.5 / rate_hz):
                yield part.values[begin:row]
                yield from missing(round(apart[row] * rate_hz) - 1, channels=len(self._columns))
                begin = int(row)
            yield part.values[begin:]
            last_s = float(part.times_s[-1]) if len(part.times_s) else math.nan

    def _resampled(self) -> Iterator[FloatArray]:
        rate_hz, channels = self.format.sample_rate_hz, len(self._columns)
        denser = max(1, math.ceil(self._row_rate_hz / rate_hz - _RATE_TOLERANCE))
        grid = IrregularResampler(rate_hz=denser * rate_hz, longest_gap_s=self._longest_gap_s, channels=channels)
        down = RateResampler(from_hz=denser * rate_hz, to_hz=rate_hz, channels=channels) if denser > 1 else None
        for part in self._rows():
            laid = grid.push(part.times_s, part.values)
            yield down.push(laid) if down else laid
        rest = grid.flush()
        yield np.concatenate([down.push(rest), down.flush()]) if down else rest


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while data := stream.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()
