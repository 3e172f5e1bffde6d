"""Replaying one signal of an EDF or BDF file, data record by data record, in numpy alone."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device_agents.sources.blocks import in_blocks, missing
from device_agents.sources.edf_header import EdfHeader, EdfSignal, read_edf_header
from device_agents.sources.fit import check_rate, check_unit, choose_channels
from device_agents.sources.resampling import RateResampler
from device_agents.sources.resampling_irregular import LONGEST_GAP_S
from edge_sdk.errors import SignalError
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray

_ONSET = re.compile(rb"([+-]\d{1,12}(\.\d{0,12})?)(\x15[^\x14\x00]*)?\x14\x14?")
_CHUNK_BYTES = 1 << 20


class EdfRecording:
    """Implements `Replayable` on an EDF, EDF+, BDF or BDF+ file. Time between the records of EDF+D is missing samples.

    Labels are compared with what the model reads with and without EDF's type of signal, ``ECG II`` as ``II``.

    Args:
        path: The file.
        wanted: What the model reads.
        channels: Labels to use whatever ``wanted`` prefers.
        resample: Whether another sample rate than the model's is resampled instead of refused.

    Raises:
        ConfigError: The file is not there.
        SignalError: It cannot be read, or is not what the model reads.
    """

    def __init__(
        self, path: Path, *, wanted: SignalFormat, channels: Sequence[str] = (), resample: bool = False
    ) -> None:
        header, what = read_edf_header(path), f"recording {path}"
        signals = {_name(signal): signal for signal in reversed(header.signals) if not signal.is_annotations}
        named = [channel.removeprefix("ECG ") for channel in channels]
        names = choose_channels(what, list(reversed(signals)), wanted=wanted, named=named)
        self._header, self._signals = header, [signals[name] for name in names]
        for signal in self._signals:
            check_unit(what, signal.label, signal.unit, wanted=wanted)
        self._rate_hz = self._common_rate_hz()
        self._resampled = resample and self._rate_hz != wanted.sample_rate_hz
        if not self._resampled:
            check_rate(what, self._rate_hz, wanted=wanted, remedy="set resample = true, or use a model for its rate")
        self._resampler(wanted.sample_rate_hz)  # refuses rates that it cannot do
        self.format = SignalFormat(
            kind=wanted.kind, unit=wanted.unit, channels=tuple(names), sample_rate_hz=wanted.sample_rate_hz
        )
        begins_s, self._gaps = self._begin_and_gaps()
        self.start_time_ns = header.start_time_ns
        if self.start_time_ns is not None:
            self.start_time_ns += round(begins_s * 1e9)
        described = f"{_sha256(path)} {names} {wanted.sample_rate_hz}"
        self.identity = hashlib.sha256(described.encode()).hexdigest()[:16]

    def values(self, *, block: int) -> Iterator[FloatArray]:
        """Yield the samples, shape (block, channels) and a shorter last one; NaN where missing."""
        pieces = self._records()
        return in_blocks(self._at_rate(pieces) if self._resampled else pieces, block=block)

    def _at_rate(self, pieces: Iterator[FloatArray]) -> Iterator[FloatArray]:
        resampler = self._resampler(self.format.sample_rate_hz)
        for piece in pieces:
            yield resampler.push(piece)
        yield resampler.flush()

    def _resampler(self, to_hz: float) -> RateResampler:
        return RateResampler(from_hz=self._rate_hz, to_hz=to_hz, channels=len(self._signals))

    def _common_rate_hz(self) -> float:
        rates = {round(signal.samples / self._header.record_s, 6) for signal in self._signals}
        if len(rates) != 1 or 0 in rates:
            raise SignalError(
                f"recording {self._header.path} has axes of different sample rates", remedy="resample them to one"
            )
        return rates.pop()

    def _records(self) -> Iterator[FloatArray]:
        for number, record in enumerate(_stored_records(self._header)):
            yield from missing(self._gaps.get(number, 0), channels=len(self._signals))
            yield np.stack([self._values(record, signal) for signal in self._signals], axis=1)

    def _values(self, record: NDArray[np.uint8], signal: EdfSignal) -> FloatArray:
        size = self._header.sample_bytes
        stored = _integers(record[signal.offset * size : (signal.offset + signal.samples) * size], size)
        values = (stored - float(signal.digital_min)) * signal.unit_per_step + signal.physical_min
        outside = (stored < signal.digital_min) | (stored > signal.digital_max)
        found: FloatArray = np.where(outside, np.nan, values).astype(np.float32)
        return found

    def _begin_and_gaps(self) -> tuple[float, dict[int, int]]:
        """Return when the first data record began, and how many samples are missing before which of the others."""
        if not self._header.has_times:
            return 0.0, {}
        onsets = self._onsets() if self._header.discontinuous else itertools.islice(self._onsets(), 1)
        gaps: dict[int, int] = {}
        begins_s = ends_s = 0.0
        for number, onset_s in enumerate(onsets):
            lacking = round((onset_s - ends_s) * self._rate_hz)
            if number == 0:
                begins_s = onset_s
            elif lacking < 0 or onset_s - ends_s > LONGEST_GAP_S:
                raise SignalError(
                    f"recording {self._header.path}: data record {number + 1} begins at {onset_s:g} s, and the one "
                    f"before ends at {ends_s:g} s",
                    remedy="make several recordings of it",
                )
            elif lacking:
                gaps[number] = lacking
            ends_s = onset_s + self._header.record_s
        return begins_s, gaps

    def _onsets(self) -> Iterator[float]:
        """Yield when each data record began: the first entry of its first annotations signal says so."""
        size = self._header.sample_bytes
        annotations = next((signal for signal in self._header.signals if signal.is_annotations), None)
        for number, record in enumerate(_stored_records(self._header)):
            texts = b""
            if annotations:
                texts = record[annotations.offset * size : (annotations.offset + annotations.samples) * size].tobytes()
            onset = _ONSET.match(texts)
            if onset is None:
                raise SignalError(
                    f"recording {self._header.path}: data record {number + 1} does not say when it began",
                    remedy="get it again",
                )
            yield float(onset[1])


def _name(signal: EdfSignal) -> str:
    return signal.label.removeprefix("ECG ").strip()


def _stored_records(header: EdfHeader) -> Iterator[NDArray[np.uint8]]:
    at_once = max(1, _CHUNK_BYTES // header.record_bytes)
    with header.path.open("rb") as stream:
        stream.seek(header.header_bytes)
        for start in range(0, header.records, at_once):
            count = min(at_once, header.records - start)
            stored = np.frombuffer(stream.read(count * header.record_bytes), np.uint8)
            yield from stored[: count * header.record_bytes].reshape(-1, header.record_bytes)


def _integers(stored: NDArray[np.uint8], size: int) -> NDArray[np.int32]:
    """Return little-endian two's complement integers of 2 or 3 bytes."""
    if size == 2:  # noqa: PLR2004
        return stored.view("<i2").astype(np.int32)
    wide = np.zeros((len(stored) // 3, 4), np.uint8)
    wide[:, 1:] = stored.reshape(-1, 3)
    signed: NDArray[np.int32] = wide.view("<i4")[:, 0] >> 8
    return signed


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while data := stream.read(_CHUNK_BYTES):
            digest.update(data)
    return digest.hexdigest()
