"""A wearable on a UART or USB serial port."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator

from device_agents.delivery import full_jitter_s
from device_agents.sources.serial_port import Port
from device_agents.sources.serial_readers import Reader
from device_agents.sources.serial_stream import SerialCounts, SerialStream
from edge_sdk.errors import Unavailable
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat

_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 0.2  # how long closing may take
_MOST_DOUBLINGS = 2  # 10 s at most: a port that is back must be heard soon


class SerialSource:
    """Implements `Source` on a serial port. A port that vanishes is waited for.

    Args:
        name: Of the port, for messages.
        open_port: Opens it; raises `Unavailable` when it is not there now.
        format: What the samples mean.
        reader: How they are written.
        now_ns: UTC time, nanoseconds since 1970, of a clock that is not set while this runs.
        chance: Draws from 0 to 1, for the pauses between tries.

    Attributes:
        connected: Whether the port is open.
    """

    identity = ""
    clock = ClockQuality.SYNCHRONIZED

    def __init__(
        self,
        name: str,
        *,
        open_port: Callable[[], Port],
        format: SignalFormat,  # noqa: A002  # the word
        reader: Reader,
        now_ns: Callable[[], int] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.format = format
        self._name, self._open_port, self._chance = name, open_port, chance
        self._now_ns = now_ns or steady_utc_ns()
        self._opened_ns = self._now_ns()
        self._stream = SerialStream(format, reader)
        self._closed = threading.Event()
        self.connected = False

    @property
    def start_time_ns(self) -> int:
        """UTC time of sample 0; until it has come, when this was made."""
        return self._opened_ns if self._stream.start_time_ns is None else self._stream.start_time_ns

    @property
    def counts(self) -> SerialCounts:
        """What happened on the line so far."""
        return self._stream.counts

    def blocks(self) -> Iterator[SampleBlock]:
        """Yield what comes, until closed.

        Raises:
            SignalError: Frames have another number of channels than the format.
        """
        attempt, told = 0, ""
        while not self._closed.is_set():
            try:
                for block in self._until_gone():
                    attempt, told = 0, ""
                    yield block
            except Unavailable as error:
                if str(error) != told:
                    _log.warning("%s: %s", self._name, error)
                told = str(error)
                self._stream.interrupt()
                self._closed.wait(full_jitter_s(min(attempt, _MOST_DOUBLINGS), chance=self._chance))
                attempt += 1

    def close(self) -> None:
        """End the stream."""
        self._closed.set()

    def _until_gone(self) -> Iterator[SampleBlock]:
        port = self._open_port()
        self.connected = True
        _log.info("%s: open", self._name)
        try:
            while not self._closed.is_set():
                data = port.read(timeout_s=_LONGEST_WAIT_S)
                for block in self._stream.push(data, self._now_ns()) if data else ():
                    yield block
                    if self._closed.is_set():
                        return
        finally:
            self.connected = False
            port.close()


def steady_utc_ns() -> Callable[[], int]:
    """Return a clock that shows UTC as it is now, and goes on evenly even when the system's is set."""
    ahead_ns = time.time_ns() - time.monotonic_ns()
    return lambda: time.monotonic_ns() + ahead_ns
