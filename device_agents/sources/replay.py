"""A recording as if it were being measured now, or as fast as it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from device_agents.sources.fit import check_rate, check_unit, choose_channels
from device_agents.sources.wfdb_files import ChannelReader
from device_agents.sources.wfdb_header import read_header
from edge_sdk.files import sha256_hex
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat
from edge_sdk.tensors import FloatArray

_LONGEST_SLEEP_S = 0.2  # how long closing may take


class Replayable(Protocol):
    """Samples that can be had again and again: one implementation per file format.

    Attributes:
        format: What the samples mean.
        identity: Names the samples: the same name, the same samples.
        start_time_ns: UTC time of sample 0, nanoseconds since 1970; ``None`` when the recording does not say.
    """

    format: SignalFormat
    identity: str
    start_time_ns: int | None

    def values(self, *, block: int) -> Iterator[FloatArray]:
        """Yield the samples from the first, shape (block, channels) and a shorter last one; NaN where missing."""


class Recording:
    """Implements `Replayable`: the channel of a WFDB record, or its axes, that a model's signal format asks for.

    Args:
        record: Path of the record without extension.
        wanted: What the model reads; of an ECG or PPG its ``channels`` are names, best first.
        channel: The channel to use whatever ``wanted`` prefers; empty for the best one.

    Raises:
        ConfigError: The record is not there.
        SignalError: It cannot be read, or is not what the model reads.
    """

    def __init__(self, record: Path, *, wanted: SignalFormat, channel: str = "") -> None:
        header = read_header(record)
        what = f"record {header.path}"
        has = [signal.name for signal in header.signals]
        names = choose_channels(what, has, wanted=wanted, named=[channel] if channel else [])
        xform = "resample the record, e.g. with WFDB's xform, or use a model for its rate"
        check_rate(what, header.sample_rate_hz, wanted=wanted, remedy=xform)
        signals = [header.signal(name) for name in names]
        for signal in signals:
            check_unit(what, signal.name, signal.unit, wanted=wanted)
        self._readers = [ChannelReader(header, signal) for signal in signals]
        self.reader = self._readers[0]
        self.start_time_ns = header.start_time_ns
        self.format = SignalFormat(
            kind=wanted.kind, unit=wanted.unit, channels=tuple(names), sample_rate_hz=header.sample_rate_hz
        )
        described = f"{record.name} {header.sample_rate_hz} {' '.join(map(str, signals))} {self.reader.samples}"
        self.identity = sha256_hex(described.encode())[:16]

    def values(self, *, block: int) -> Iterator[FloatArray]:
        """Yield the samples, shape (block, channels) and a shorter last one; NaN where missing."""
        for columns in zip(*(reader.values(block=block) for reader in self._readers), strict=False):
            yield np.stack(columns, axis=1)


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
        recording: Replayable,
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
        self._recording, self._speed, self._resume_index = recording, speed, resume_index
        self._now, self._sleep = clock, sleep
        self._closed = threading.Event()

    def blocks(self) -> Iterator[SampleBlock]:
        """Yield the recording; each block when its last sample would have been taken."""
        rate, index, began_s = self.format.sample_rate_hz, 0, self._now()
        for values in self._recording.values(block=self._block):
            end = index + len(values)
            if self._speed and end > self._resume_index:
                self._wait_until(began_s + (end - self._resume_index) / rate / self._speed)
            if self._closed.is_set():
                return
            time_ns = self.start_time_ns + round(index * 1e9 / rate)
            yield SampleBlock(start_index=index, start_time_ns=time_ns, samples=values)
            index = end

    def close(self) -> None:
        """End the replay."""
        self._closed.set()

    def _wait_until(self, deadline_s: float) -> None:
        while not self._closed.is_set() and (left_s := deadline_s - self._now()) > 0:
            self._sleep(min(left_s, _LONGEST_SLEEP_S))
