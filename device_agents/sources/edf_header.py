"""The header of an EDF, EDF+ or BDF file: what its numbers mean.

Kemp et al. 1992 and Kemp and Olivan 2003 (EDF and EDF+ specifications), and BioSemi's note on BDF. Light, well kept
readers exist (edfio: numpy alone); they join the pieces of a discontinuous file as if nothing were missing, which here
would be a false rhythm. So this reads such files itself.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, replace
from pathlib import Path

from edge_sdk.errors import ConfigError, SignalError

_FIXED_BYTES, _SIGNAL_BYTES = 256, 256
# Widths of the fields that a header gives for one signal after the other.
_LABEL, _TRANSDUCER, _UNIT, _LIMIT, _FILTER, _SAMPLES = 16, 80, 8, 8, 80, 8
_LARGEST_RECORD_BYTES = 64 * 1024 * 1024  # a hostile header must not exhaust a device; EDF recommends 61,440
_MOST_SIGNALS = 4_096
_PIVOT_YEAR = 85  # EDF: years 85 to 99 are 1985 to 1999


@dataclass(frozen=True, kw_only=True, slots=True)
class EdfSignal:
    """One signal as it is stored: ``value = (stored - digital_min) * unit_per_step + physical_min``.

    Attributes:
        label: Its name, without surrounding blanks.
        unit: Of ``value``.
        physical_min: What ``digital_min`` means.
        unit_per_step: What a stored step means.
        digital_min: Smallest stored value.
        digital_max: Largest stored value.
        samples: In each data record.
        offset: Stored samples of other signals before this one's, in each data record.
    """

    label: str
    unit: str
    physical_min: float
    unit_per_step: float
    digital_min: int
    digital_max: int
    samples: int
    offset: int

    @property
    def is_annotations(self) -> bool:
        """Whether it holds texts and the records' times instead of samples."""
        return self.label in {"EDF Annotations", "BDF Annotations"}


@dataclass(frozen=True, kw_only=True, slots=True)
class EdfHeader:
    """One file.

    Attributes:
        path: The file.
        header_bytes: Where data records begin.
        sample_bytes: 2 in EDF, 3 in BDF.
        records: Data records that the file holds.
        record_s: Seconds that a data record lasts.
        has_times: Whether each record says when it began (EDF+, BDF+).
        discontinuous: Whether there may be time between two records (EDF+D).
        start_time_ns: UTC time of the first record, if the clock that wrote it showed UTC; ``None`` for no date.
        signals: All of them, in order.
    """

    path: Path
    header_bytes: int
    sample_bytes: int
    records: int
    record_s: float
    has_times: bool
    discontinuous: bool
    start_time_ns: int | None
    signals: tuple[EdfSignal, ...]

    @property
    def record_bytes(self) -> int:
        """Size of a data record."""
        return self.sample_bytes * sum(signal.samples for signal in self.signals)


def read_edf_header(path: Path) -> EdfHeader:
    """Read the header of an EDF or BDF file.

    Raises:
        ConfigError: No such file.
        SignalError: Not such a file, or one that lacks what its header says.
    """
    try:
        with path.open("rb") as stream:
            fixed = stream.read(_FIXED_BYTES)
            count = _count(fixed)
            described = stream.read(count * _SIGNAL_BYTES)
        return _header(path, fixed, described, size_bytes=path.stat().st_size)
    except FileNotFoundError as error:
        raise ConfigError(f"recording {path} does not exist", remedy="check the path") from error
    except OSError as error:
        raise ConfigError(f"recording {path} cannot be read ({error.strerror})", remedy="check the path") from error
    except (ValueError, IndexError, OverflowError) as error:
        raise SignalError(f"recording {path} has a malformed header ({error})", remedy="get it again") from error


def _count(fixed: bytes) -> int:
    if len(fixed) < _FIXED_BYTES or fixed[:8] not in {b"0       ", b"\xffBIOSEMI"}:
        raise ValueError("neither EDF nor BDF")
    count = int(fixed[252:256])
    if not 0 < count <= _MOST_SIGNALS:
        raise ValueError(f"{count} signals")
    return count


def _header(path: Path, fixed: bytes, described: bytes, *, size_bytes: int) -> EdfHeader:
    kind = fixed[192:236].decode("latin-1").strip()
    header = EdfHeader(
        path=path,
        header_bytes=int(fixed[184:192]),
        sample_bytes=3 if fixed[:1] == b"\xff" else 2,
        records=int(fixed[236:244]),
        record_s=float(fixed[244:252]),
        has_times=kind.startswith(("EDF+", "BDF+")),
        discontinuous=kind.startswith(("EDF+D", "BDF+D")),
        start_time_ns=_start_time_ns(fixed[168:184].decode("latin-1")),
        signals=_signals(described, count=_count(fixed)),
    )
    if header.header_bytes != _FIXED_BYTES + len(described):
        raise ValueError(f"it says that it has {header.header_bytes} bytes")
    if not 0 < header.record_s < math.inf:
        raise ValueError(f"data records of {header.record_s:g} s")
    if not 0 < header.record_bytes <= _LARGEST_RECORD_BYTES:
        raise ValueError(f"data records of {header.record_bytes} bytes")
    return _complete(header, (size_bytes - header.header_bytes) // header.record_bytes)


def _complete(header: EdfHeader, held: int) -> EdfHeader:
    if header.records == -1:  # it was still being written: EDF says so
        return replace(header, records=held)
    if held < header.records or header.records < 1:
        raise SignalError(
            f"recording {header.path} holds {held} of the {header.records} data records its header says",
            remedy="get it again",
        )
    return header


def _signals(described: bytes, *, count: int) -> tuple[EdfSignal, ...]:
    """Take the header's second part apart: every field comes ``count`` times."""
    if len(described) < count * _SIGNAL_BYTES:
        raise ValueError("it ends too soon")
    columns, at = [], 0
    for width in (_LABEL, _TRANSDUCER, _UNIT, _LIMIT, _LIMIT, _LIMIT, _LIMIT, _FILTER, _SAMPLES):
        fields = [described[at + place * width : at + (place + 1) * width] for place in range(count)]
        columns.append([field.decode("latin-1").strip() for field in fields])
        at += width * count
    found: list[EdfSignal] = []
    for label, _, unit, low, high, digital_low, digital_high, _, samples in zip(*columns, strict=True):
        offset = found[-1].offset + found[-1].samples if found else 0
        found.append(_signal(label, unit, (float(low), float(high)), (int(digital_low), int(digital_high)),
                             samples=int(samples), offset=offset))  # fmt: skip
    return tuple(found)


def _signal(
    label: str, unit: str, physical: tuple[float, float], digital: tuple[int, int], *, samples: int, offset: int
) -> EdfSignal:
    steps = digital[1] - digital[0]
    span = physical[1] - physical[0]
    if steps <= 0 or not math.isfinite(span) or samples < 0 or (span == 0 and "Annotations" not in label):
        raise ValueError(f"{label or 'a signal'} has no scale")
    return EdfSignal(
        label=label,
        unit=unit,
        physical_min=physical[0],
        unit_per_step=span / steps,
        digital_min=digital[0],
        digital_max=digital[1],
        samples=samples,
        offset=offset,
    )


def _start_time_ns(words: str) -> int | None:
    """Return ``dd.mm.yyhh.mm.ss`` as UTC; ``None`` for no date: what is none, or EDF's sign for it, 1 January 1985."""
    try:
        when = dt.datetime.strptime(words, "%d.%m.%y%H.%M.%S").replace(tzinfo=dt.timezone.utc)
    except ValueError:
        return None
    year = when.year % 100 + (1900 if when.year % 100 >= _PIVOT_YEAR else 2000)
    if (when.day, when.month, year) == (1, 1, 1900 + _PIVOT_YEAR):
        return None
    return int(when.replace(year=year).timestamp()) * 1_000_000_000
