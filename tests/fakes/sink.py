"""A sink that remembers everything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edge_sdk.errors import SignalError
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat


@dataclass(kw_only=True)
class Received:
    """One stream, as it was delivered."""

    format: SignalFormat
    clock: ClockQuality
    start_time_ns: int
    subject: str
    blocks: list[SampleBlock] = field(default_factory=list)
    reason: str | None = None

    @property
    def samples(self) -> np.ndarray:
        """What was delivered, in its place; NaN for what was not."""
        size = max((block.end_index for block in self.blocks), default=0)
        found = np.full((size, len(self.format.channels)), np.nan, np.float32)
        for block in self.blocks:
            found[block.start_index : block.end_index] = block.samples
        return found


class FakeSink:
    """Implements `Sink` in memory.

    Args:
        accepts: Which formats it takes; others are refused.
    """

    def __init__(self, accepts: Callable[[SignalFormat], bool] = lambda _format: True) -> None:
        self._accepts, self._lock = accepts, threading.Lock()
        self.open_streams: dict[str, Received] = {}
        self.streams: dict[str, list[Received]] = {}
        self.order: list[str] = []

    def open(
        self,
        name: str,
        *,
        format: SignalFormat,  # noqa: A002  # the word
        clock: ClockQuality,
        start_time_ns: int,
        subject: str = "",
    ) -> None:
        with self._lock:
            if name in self.open_streams:
                raise SignalError(f"stream '{name}' is open already")
            if not self._accepts(format):
                raise SignalError(f"no model reads {format.kind} at {format.sample_rate_hz:g} Hz")
            received = Received(format=format, clock=clock, start_time_ns=start_time_ns, subject=subject)
            self.open_streams[name] = received
            self.streams.setdefault(name, []).append(received)

    def push(self, name: str, block: SampleBlock) -> None:
        with self._lock:
            self.open_streams[name].blocks.append(block)
            self.order.append(name)

    def close(self, name: str, reason: str) -> None:
        with self._lock:
            self.open_streams.pop(name).reason = reason

    def only(self, name: str) -> Received:
        (received,) = self.streams[name]
        return received
