"""A recording as if it were being measured now, or as fast as it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from device_agents.sources.wfdb_files import ChannelReader
from device_agents.sources.wfdb_header import Header, StoredSignal, read_header
from edge_sdk.errors import SignalError
from edge_sdk.files import sha256_hex
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat

_LONGEST_SLEEP_S = 0.2  # how long closing may take


class Recording:
    """The one channel of a WFDB record that a model's signal format asks for.

    Args:
        record: Path of the record without extension.
        wanted: What the model reads; its ``channels`` are names, best first.
        channel: The channel to use whatever ``wanted`` prefers; empty for the best one.

    Raises:
        ConfigError: The record is not there.
        SignalError: It cannot be read, or is not what the model reads.
    """

    def __init__(self, record: Path, *, wanted: SignalFormat, channel: str = "") -> None:
        header = read_header(record)
        signal = header.signal(channel) if channel else _best(header, wanted.channels)
        _check(header, signal, wanted)
        self.reader = ChannelReader(header, signal)
        self.start_time_ns = header.start_time_ns
        self.format = SignalFormat(
            kind=wanted.kind, unit=signal.unit, channels=(signal.name,), sample_rate_hz=header.sample_rate_hz
        )
        described = f"{record.name} {header.sample_rate_hz} {signal} {self.reader.samples}"
        self.identity = sha256_hex(described.encode())[:16]


class ReplaySource:
    """Implements `Source` on a recording.

    Args:
        recording: What to replay.
        speed: Seconds of signal per second; 0 for as fast as it goes.
        block_s: Seconds of signal per block.
        start_time_ns: UTC time to give sample 0.
        resume_index: Samples before this one are delivered without waiting: they have been replayed before.
        clock: Monotonic seconds.
        sleep: Waits that many seconds.
    """

    clock = ClockQuality.REPLAYED

    def __init__(  # noqa: PLR0913  # each is one fact about a replay
        self,
        recording: Recording,
        *,
        speed: float,
        block_s: float,
        start_time_ns: int,
        resume_index: int = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.format = recording.format
        self.start_time_ns = start_time_ns
        self._block = max(1, round(block_s * self.format.sample_rate_hz))
        self.identity = f"{recording.identity}/{self._block}"
        self._reader, self._speed, self._resume_index = recording.reader, speed, resume_index
        self._now, self._sleep = clock, sleep
        self._closed = threading.Event()

    def blocks(self) -> Iterator[SampleBlock]:
        """Yield the recording; each block when its last sample would have been taken."""
        rate, index, began_s = self.format.sample_rate_hz, 0, self._now()
        for values in self._reader.values(block=self._block):
            end = index + len(values)
            if self._speed and end > self._resume_index:
                self._wait_until(began_s + (end - self._resume_index) / rate / self._speed)
            if self._closed.is_set():
                return
            time_ns = self.start_time_ns + round(index * 1e9 / rate)
            yield SampleBlock(start_index=index, start_time_ns=time_ns, samples=values[:, None])
            index = end

    def close(self) -> None:
        """End the replay."""
        self._closed.set()

    def _wait_until(self, deadline_s: float) -> None:
        while not self._closed.is_set() and (left_s := deadline_s - self._now()) > 0:
            self._sleep(min(left_s, _LONGEST_SLEEP_S))


def _best(header: Header, names: tuple[str, ...]) -> StoredSignal:
    has = [signal.name for signal in header.signals]
    for name in names:
        if name in has:
            return header.signal(name)
    raise SignalError(
        f"record {header.path} has the channels {', '.join(has)}, and the model reads {', '.join(names)}",
        remedy="replay another record, or name a channel under [source] if you know that it fits",
    )


def _check(header: Header, signal: StoredSignal, wanted: SignalFormat) -> None:
    if header.sample_rate_hz != wanted.sample_rate_hz:
        raise SignalError(
            f"record {header.path} has {header.sample_rate_hz:g} Hz, and the model reads {wanted.sample_rate_hz:g} Hz",
            remedy="resample the record, e.g. with WFDB's xform, or use a model for its rate",
        )
    if signal.unit != wanted.unit:
        raise SignalError(
            f"record {header.path} has {signal.name} in {signal.unit}, and the model reads {wanted.unit}",
            remedy="replay a record in the model's unit",
        )
