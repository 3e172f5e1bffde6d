"""From the bytes of a serial line to blocks of samples: what was lost is missing, what came twice comes once. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from device_agents.sources.blocks import missing
from device_agents.sources.clock import ClockEstimator
from device_agents.sources.serial_readers import Reader, Taken
from edge_sdk.signals import SampleBlock, SignalFormat
from edge_sdk.tensors import FloatArray

_NS = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class SerialCounts:
    """What happened on a line so far.

    Attributes:
        lost: Samples that never came, each given as missing.
        repeated: Samples that came twice, given once.
        refused: Pieces that were no frame or line; the first one often is a half.
        restarts: How often the wearable began anew, or sampled nothing for a while.
    """

    lost: int = 0
    repeated: int = 0
    refused: int = 0
    restarts: int = 0


class SerialStream:
    """Puts what comes over a line in order.

    Times are the gateway's, estimated from when samples arrive (`ClockEstimator`): late by the line's smallest delay.

    Args:
        format: What the samples mean.
        reader: How they are written.

    Attributes:
        start_time_ns: UTC time of sample 0, nanoseconds since 1970; ``None`` before it has come.
    """

    def __init__(self, format: SignalFormat, reader: Reader) -> None:  # noqa: A002  # the word
        self._rate_hz, self._channels, self._reader = format.sample_rate_hz, len(format.channels), reader
        self._held = b""
        self._overlong = 0
        self._counts = SerialCounts()
        self._clock = ClockEstimator()
        self._next_index = 0
        self._last_arrival_ns = 0
        self.start_time_ns: int | None = None

    @property
    def counts(self) -> SerialCounts:
        """What happened so far."""
        return replace(self._counts, refused=self._reader.refused + self._overlong)

    def push(self, data: bytes, arrival_ns: int) -> Iterator[SampleBlock]:
        """Take bytes that arrived at a UTC time; yield the blocks that they complete.

        Raises:
            SignalError: They are not of the announced channels.
        """
        *pieces, self._held = (self._held + data).split(self._reader.end)
        if len(self._held) > self._reader.longest:
            self._held = b""
            self._overlong += 1
        for taken in self._reader.read(pieces):
            yield from self._placed(taken, arrival_ns)

    def interrupt(self) -> None:
        """Say that the port was away: what is held is half of something."""
        self._held = b""
        self._reader.interrupt()

    def _placed(self, taken: Taken, arrival_ns: int) -> Iterator[SampleBlock]:
        lost, samples = taken.lost, taken.samples
        if taken.restarted:
            elapsed_s = (arrival_ns - self._last_arrival_ns) / _NS
            lost = max(0, round(elapsed_s * self._rate_hz) - len(samples))
            self._counts = replace(self._counts, restarts=self._counts.restarts + 1)
        if taken.repeated:
            self._counts = replace(self._counts, repeated=self._counts.repeated + taken.repeated)
        if not len(samples):
            return
        yield from self._skipped(lost)
        yield from self._skipped(self._paused(len(samples), arrival_ns))
        self._last_arrival_ns = arrival_ns
        if self.start_time_ns is None:
            self.start_time_ns = self._clock.time_ns(0)
        yield self._block(samples)

    def _paused(self, count: int, arrival_ns: int) -> int:
        """Set the clock by ``count`` samples that just arrived; return how many the wearable did not take before them.

        A wearable that pauses without counting looks as if its clock were set back.
        """
        end_ns = self._sampled_ns(self._next_index + count)
        before_ns = self._clock.time_ns(end_ns)
        if not self._clock.observe(end_ns, arrival_ns):
            return 0
        paused = max(0, round((self._clock.time_ns(end_ns) - before_ns) / _NS * self._rate_hz))
        if paused:
            self._counts = replace(self._counts, restarts=self._counts.restarts + 1)
            self._clock.observe(self._sampled_ns(self._next_index + paused + count), arrival_ns)
        return paused

    def _skipped(self, samples: int) -> Iterator[SampleBlock]:
        if not samples:
            return
        self._counts = replace(self._counts, lost=self._counts.lost + samples)
        for piece in missing(samples, channels=self._channels):
            yield self._block(piece)

    def _block(self, samples: FloatArray) -> SampleBlock:
        index, self._next_index = self._next_index, self._next_index + len(samples)
        return SampleBlock(
            start_index=index, start_time_ns=self._clock.time_ns(self._sampled_ns(index)), samples=samples
        )

    def _sampled_ns(self, index: int) -> int:
        return round(index * _NS / self._rate_hz)
