"""What every source is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat


class Source(Protocol):
    """One stream of samples, delivered block by block.

    Attributes:
        format: What the samples mean; one channel.
        clock: How far the blocks' times can be trusted.
        identity: Names the recording when the same samples would come again from a new start; empty for live ones.
    """

    format: SignalFormat
    clock: ClockQuality
    identity: str

    @property
    def start_time_ns(self) -> int:
        """UTC time of sample 0, nanoseconds since 1970."""

    def blocks(self) -> Iterator[SampleBlock]:
        """Yield consecutive blocks, each starting where the one before ended, until the stream ends or is closed."""

    def close(self) -> None:
        """End the stream; a wait for the next block ends at once. May be called twice, and from another thread."""


class Sink(Protocol):
    """Where streams are delivered; safe to use from several threads."""

    def open(
        self,
        name: str,
        *,
        format: SignalFormat,  # noqa: A002  # the word
        clock: ClockQuality,
        start_time_ns: int,
        subject: str = "",
    ) -> None:
        """Begin a stream."""

    def push(self, name: str, block: SampleBlock) -> None:
        """Deliver a stream's next block."""

    def close(self, name: str, reason: str) -> None:
        """End a stream, and say why."""


class Feed(Protocol):
    """Many streams from one place, which come and go."""

    def run(self, sink: Sink) -> None:
        """Deliver streams until there are no more, or until closed."""

    def close(self) -> None:
        """End it. May be called twice, and from another thread."""
