"""Reading one channel of a WFDB record block by block, in numpy alone. See signal(5) of the WFDB guide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_agents.sources.wfdb_header import Header, StoredSignal
from edge_sdk.errors import ConfigError, SignalError
from edge_sdk.tensors import FloatArray

_CHECK_FRAMES = 4_096


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """How a format packs samples.

    Attributes:
        bytes_per_pair: Bytes of two consecutive samples.
        missing: The stored value that stands for a missing sample.
        unpack: Bytes of whole pairs to int32 samples, shape (2 * pairs,).
    """

    bytes_per_pair: int
    missing: int
    unpack: Callable[[NDArray[np.uint8]], NDArray[np.int32]]


def _unpack_212(stored: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Two 12-bit samples in three bytes: low byte, both high nibbles, low byte."""
    triples = stored.reshape(-1, 3).astype(np.int32)
    samples = np.empty((len(triples), 2), np.int32)
    samples[:, 0] = triples[:, 0] | (triples[:, 1] & 0x0F) << 8
    samples[:, 1] = triples[:, 2] | (triples[:, 1] & 0xF0) << 4
    signed: NDArray[np.int32] = ((samples ^ 0x800) - 0x800).reshape(-1)  # 12-bit two's complement
    return signed


def _unpack_16(stored: NDArray[np.uint8]) -> NDArray[np.int32]:
    return stored.view("<i2").astype(np.int32)


STORAGES = {
    16: Storage(bytes_per_pair=4, missing=-32768, unpack=_unpack_16),
    212: Storage(bytes_per_pair=3, missing=-2048, unpack=_unpack_212),
}


class ChannelReader:
    """One channel of a record. Its checksum is verified when it is opened; the file is never held whole.

    Raises:
        ConfigError: The signal file is not there.
        SignalError: A format not read here, a file shorter than the header says, or a wrong checksum.
    """

    def __init__(self, header: Header, signal: StoredSignal) -> None:
        if signal.format not in STORAGES:
            known = ", ".join(map(str, STORAGES))
            raise SignalError(
                f"record {header.path} stores {signal.name} in WFDB format {signal.format}; read here: {known}",
                remedy="rewrite it in format 16, e.g. with WFDB's xform",
            )
        self._signal, self._storage = signal, STORAGES[signal.format]
        self._path = header.path.with_name(signal.file_name)
        self._frames = header.samples or self._stored_frames()
        self._verify()

    @property
    def samples(self) -> int:
        """How many samples the channel has."""
        return self._frames

    def values(self, *, block: int) -> Iterator[FloatArray]:
        """Yield the samples in the channel's unit, float32 of shape (block,) and a shorter last one; NaN if missing."""
        signal, storage = self._signal, self._storage
        for stored in self._stored(block=block):
            values = ((stored - signal.baseline) / signal.gain).astype(np.float32)
            values[stored == storage.missing] = np.nan
            yield values

    def _stored(self, *, block: int) -> Iterator[NDArray[np.int32]]:
        columns = self._signal.columns
        try:
            with self._path.open("rb") as stream:
                for start in range(0, self._frames, block):
                    stop = min(start + block, self._frames)
                    # Samples are packed in pairs: read from the pair that holds the first one.
                    first_pair, end_pair = start * columns // 2, (stop * columns + 1) // 2
                    stream.seek(self._signal.offset_bytes + first_pair * self._storage.bytes_per_pair)
                    wanted = (end_pair - first_pair) * self._storage.bytes_per_pair
                    data = np.frombuffer(stream.read(wanted).ljust(wanted, b"\0"), np.uint8)
                    begin = start * columns - 2 * first_pair
                    frames = self._storage.unpack(data)[begin : begin + (stop - start) * columns]
                    yield frames[self._signal.column :: columns]
        except FileNotFoundError as error:
            raise ConfigError(f"signal file {self._path} does not exist", remedy="get the whole record") from error

    def _stored_frames(self) -> int:
        size = self._path.stat().st_size - self._signal.offset_bytes
        return size * 2 // self._storage.bytes_per_pair // self._signal.columns

    def _verify(self) -> None:
        try:
            held = self._stored_frames()
        except FileNotFoundError as error:
            raise ConfigError(f"signal file {self._path} does not exist", remedy="get the whole record") from error
        if held < self._frames:
            raise SignalError(
                f"{self._path} holds {held} of the {self._frames} samples its header says",
                remedy="get the record again",
            )
        if self._signal.checksum is None:
            return
        total = sum(int(stored.sum(dtype=np.int64)) for stored in self._stored(block=_CHECK_FRAMES))
        if (total - self._signal.checksum) % 65_536:
            raise SignalError(
                f"{self._path} does not match the checksum of {self._signal.name} in its header",
                remedy="get the record again",
            )
