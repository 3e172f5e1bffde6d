"""The header of a WFDB record (``.hea``): what its numbers mean. See the WFDB Applications Guide, header(5)."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sdk.errors import SignalError
from edge_sdk.files import read_bytes

_DEFAULT_GAIN = 200.0  # header(5): "If the gain is zero or missing, 200 adu per unit is assumed"
_DEFAULT_RATE_HZ = 250.0
_FORMAT = re.compile(r"(?P<format>\d+)(x(?P<per_frame>\d+))?(:(?P<skew>\d+))?(\+(?P<offset>\d+))?")
_GAIN = re.compile(r"(?P<gain>-?[\d.eE+-]+)(\((?P<baseline>-?\d+)\))?(/(?P<unit>\S+))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSignal:
    """One channel as it is stored: ``value = (stored - baseline) / gain``.

    Attributes:
        name: The channel's description.
        file_name: The file that holds it.
        format: WFDB storage format.
        offset_bytes: Where samples begin in the file.
        column: Its place among the signals of that file.
        columns: How many signals that file interleaves.
        gain: Stored steps per unit.
        baseline: Stored value of zero.
        unit: Unit of ``value``.
        checksum: Sum of all stored samples modulo 65,536, signed; ``None`` when the header has none.
    """

    name: str
    file_name: str
    format: int
    offset_bytes: int
    column: int
    columns: int
    gain: float
    baseline: int
    unit: str
    checksum: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """One single-segment record."""

    path: Path
    sample_rate_hz: float
    samples: int
    start_time_ns: int | None
    signals: tuple[StoredSignal, ...]

    def signal(self, name: str) -> StoredSignal:
        """Return the channel of that name.

        Raises:
            SignalError: The record has none.
        """
        for signal in self.signals:
            if signal.name == name:
                return signal
        has = ", ".join(signal.name for signal in self.signals)
        raise SignalError(
            f"record {self.path} has no channel {name}; it has {has}", remedy="choose another channel or record"
        )


def read_header(record: Path) -> Header:
    """Read ``record.hea``.

    Args:
        record: The record's path without extension, as WFDB names records.

    Raises:
        ConfigError: No such file.
        SignalError: Not a header, or of a kind that is not read here.
    """
    text = read_bytes(record.with_name(record.name + ".hea"), what="record header").decode("latin-1")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return _header(record, lines)
    except (ValueError, IndexError) as error:
        raise SignalError(f"record {record} has a malformed header ({error})", remedy="get the record again") from error


def _header(record: Path, lines: list[str]) -> Header:
    words = lines[0].split()
    if "/" in words[0]:
        raise SignalError(f"record {record} has several segments", remedy="name one of its segments as the record")
    count = int(words[1])
    signals = [_described(record, line) for line in lines[1 : 1 + count]]
    if len(signals) != count or not count:
        raise SignalError(f"record {record} describes {len(signals)} of {count} signals", remedy="get it again")
    files = [signal.file_name for signal in signals]
    placed = tuple(
        replace(signal, column=files[:at].count(signal.file_name), columns=files.count(signal.file_name))
        for at, signal in enumerate(signals)
    )
    return Header(
        path=record,
        sample_rate_hz=float(re.split(r"[/(]", words[2])[0]) if len(words) > 2 else _DEFAULT_RATE_HZ,  # noqa: PLR2004
        samples=int(words[3]) if len(words) > 3 else 0,  # noqa: PLR2004
        start_time_ns=_start_time_ns(words[4:6]),
        signals=placed,
    )


def _described(record: Path, line: str) -> StoredSignal:
    words = line.split(maxsplit=8)
    words += [""] * (9 - len(words))
    stored = _FORMAT.fullmatch(words[1])
    scaled = _GAIN.fullmatch(words[2] or "0")
    if not stored or not scaled:
        raise SignalError(f"record {record} has a malformed signal line {line!r}", remedy="get the record again")
    if int(stored["per_frame"] or 1) != 1 or int(stored["skew"] or 0) != 0:
        raise SignalError(
            f"record {record} has several samples per frame, or skewed signals",
            remedy="rewrite it with one sample per frame, e.g. with WFDB's xform",
        )
    adc_zero = int(words[4] or 0)
    return StoredSignal(
        name=words[8].strip(),
        file_name=words[0],
        format=int(stored["format"]),
        offset_bytes=int(stored["offset"] or 0),
        column=0,
        columns=1,
        gain=float(scaled["gain"]) or _DEFAULT_GAIN,
        baseline=int(scaled["baseline"]) if scaled["baseline"] else adc_zero,
        unit=scaled["unit"] or "mV",
        checksum=int(words[6]) if words[6] else None,
    )


def _start_time_ns(words: list[str]) -> int | None:
    """Return the base time as UTC, or ``None``: a time without its date does not say when."""
    if len(words) != 2:  # noqa: PLR2004
        return None
    clock, _, fraction = words[0].partition(".")
    when = dt.datetime.strptime(f"{words[1]} {clock}", "%d/%m/%Y %H:%M:%S").replace(tzinfo=dt.timezone.utc)
    return int(when.timestamp()) * 1_000_000_000 + int(f"{fraction:0<9}"[:9] or 0)
