"""One WFDB record as a device would read it: the best channel that the model accepts, at its rate and in its unit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.window_sources.raw import refused
from edge_sdk.errors import EdgeError
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray

_OTHER_RECORDS = "or list the records to use in the folder's RECORDS file"
_CHECKSUM_OF = 65_536


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One channel of a record.

    Attributes:
        samples: float32 (n,), in the contract's unit, NaN where missing.
        comments: Of the header.
    """

    samples: FloatArray
    comments: tuple[str, ...]


def read_channel(path: Path, wanted: SignalFormat) -> Channel:
    """Read the channel of a record that a device would.

    Args:
        path: The record, without extension.
        wanted: What the model reads; its channels are names, best first.

    Raises:
        ConversionError: The record is broken, or a device would refuse it.
    """
    import wfdb  # noqa: PLC0415  # slow to import, and only records need it

    with _translated(path):
        header = wfdb.rdheader(str(path))
    if isinstance(header, wfdb.MultiRecord):
        raise refused(str(path), "the record has several segments", f"keep its segments alone, {_OTHER_RECORDS}")
    names = [name or "one without a name" for name in header.sig_name or ()]
    name = next((name for name in wanted.channels if name in names), None)
    if name is None:
        has = ", ".join(names) or "none"
        raise refused(
            str(path),
            f"the record's channels are {has}, and the model reads {', '.join(wanted.channels)}",
            f"take it out, {_OTHER_RECORDS}",
        )
    column = names.index(name)
    _check_format(path, header, column, wanted)
    with _translated(path):
        record = wfdb.rdrecord(str(path), channels=[column], physical=False)
        _check_sum(path, record.d_signal[:, 0], header.checksum[column])
        samples = record.dac()[:, 0].astype(np.float32)
    return Channel(samples=samples, comments=tuple(header.comments))


def read_annotations(path: Path) -> tuple[NDArray[np.int64], list[str]]:
    """Return where a record's annotations (``.atr``) are, and their symbols.

    Raises:
        ConversionError: There are none, or they are broken.
    """
    import wfdb  # noqa: PLC0415  # as above

    if not path.with_name(f"{path.name}.atr").is_file():
        raise refused(str(path), "the record has no annotations (.atr)", f"add them, {_OTHER_RECORDS}")
    with _translated(path):
        notes = wfdb.rdann(str(path), "atr")
        return np.asarray(notes.sample, np.int64), list(notes.symbol)


def _check_format(path: Path, header: Any, column: int, wanted: SignalFormat) -> None:
    if header.fs != wanted.sample_rate_hz:
        raise refused(
            str(path),
            f"the record has {header.fs:g} Hz, and the model reads {wanted.sample_rate_hz:g} Hz",
            "resample it, e.g. with WFDB's xform: a device refuses it as it is",
        )
    if header.units[column] != wanted.unit:
        raise refused(
            str(path),
            f"the record has {header.sig_name[column]} in {header.units[column]}, and the model reads {wanted.unit}",
            "rewrite it in the model's unit",
        )
    if set(header.samps_per_frame) != {1} or any(header.skew):
        raise refused(
            str(path),
            "the record has several samples a frame, or skewed channels",
            "rewrite it with one sample a frame, e.g. with WFDB's xform",
        )


def _check_sum(path: Path, stored: NDArray[np.int64], checksum: int | None) -> None:
    if checksum is not None and (int(stored.sum(dtype=np.int64)) - checksum) % _CHECKSUM_OF:
        raise refused(str(path), "the samples do not match the checksum in the header", "get the record again")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except EdgeError:
        raise
    except Exception as error:  # whatever a broken record makes wfdb stumble over
        raise refused(
            str(path), f"the record cannot be read ({type(error).__name__}: {error})", "get the whole record again"
        ) from error
