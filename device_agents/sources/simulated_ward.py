"""A ward of simulated wearables: many streams at the pace of life, with blocks that get lost, come twice or late."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from device_agents.sources.base import Sink
from device_agents.sources.simulated import SimulatedSignals, Simulation, stream_names
from device_agents.sources.simulated_chance import Chance
from device_agents.sources.simulated_episodes import DELIVERIES, Episode, during
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat

_LONGEST_SLEEP_S = 0.2  # how long closing may take


class SimulatedFeed:
    """Implements `Feed`.

    Args:
        format: Of every stream; its first channel is the one that is simulated.
        streams: How many.
        simulation: What is simulated.
        block_s: Seconds of signal per block.
        speed: Seconds of signal per second; 0 for as fast as it goes, and then the streams are recordings.
        duration_s: When they end; 0 for never.
        drift_ppm: By how much the wearables' clocks run wrong at most; each by an amount of its own.
        prefix: Of the streams' names, which end in a number from 1.
        clock: Monotonic seconds.
        sleep: Waits that many seconds.
        now_ns: UTC time, nanoseconds since 1970.
    """

    def __init__(  # noqa: PLR0913  # each is one fact about a ward
        self,
        format: SignalFormat,  # noqa: A002  # the word
        *,
        streams: int,
        simulation: Simulation,
        block_s: float = 0.25,
        speed: float = 1.0,
        duration_s: float = 0.0,
        drift_ppm: float = 0.0,
        prefix: str = "bed-",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        channels = format.channels if format.kind == "accelerometer" else format.channels[:1]
        self.format = SignalFormat(
            kind=format.kind, unit=format.unit, channels=channels, sample_rate_hz=format.sample_rate_hz
        )
        self.names = stream_names(prefix, streams)
        self._signals = SimulatedSignals(self.format, streams=streams, simulation=simulation)
        self._episodes = [episode for episode in simulation.episodes if episode.kind in DELIVERIES]
        self._block, self._speed = max(1, round(block_s * format.sample_rate_hz)), speed
        self._samples = round(duration_s * format.sample_rate_hz)
        lanes = np.arange(streams)
        drift = drift_ppm * 1e-6 * (2 * Chance(simulation.seed, 9).uniform(lanes, lanes) - 1)
        self._sample_ns: list[float] = (1e9 / format.sample_rate_hz * (1 + drift)).tolist()
        self._waiting: defaultdict[int, list[SampleBlock]] = defaultdict(list)
        self._now, self._sleep, self._now_ns = clock, sleep, now_ns
        self._closed = threading.Event()

    def run(self, sink: Sink) -> None:
        """Deliver every stream, until they end or are closed."""
        began_s, start_time_ns = self._now(), self._now_ns()
        quality = ClockQuality.SYNCHRONIZED if self._speed else ClockQuality.REPLAYED
        for name in self.names:
            sink.open(name, format=self.format, clock=quality, start_time_ns=start_time_ns, subject=name)
        for start, count in self._blocks():
            blocks = self._made(start, count, start_time_ns)
            if self._speed:
                self._wait_until(began_s + (start + count) / self.format.sample_rate_hz / self._speed)
            if self._closed.is_set():
                break
            self._deliver(sink, blocks, start / self.format.sample_rate_hz)
        for lane, name in enumerate(self.names):
            for block in self._waiting[lane]:
                sink.push(name, block)
            sink.close(name, "the simulation ended")

    def close(self) -> None:
        """End it."""
        self._closed.set()

    def _blocks(self) -> Iterator[tuple[int, int]]:
        start = 0
        while not self._samples or start < self._samples:
            count = min(self._block, self._samples - start) if self._samples else self._block
            yield start, count
            start += count

    def _made(self, start: int, count: int, start_time_ns: int) -> list[SampleBlock]:
        samples = self._signals.block(count)
        return [
            SampleBlock(start_index=start, start_time_ns=start_time_ns + round(start * sample_ns), samples=lane)
            for lane, sample_ns in zip(samples, self._sample_ns, strict=True)
        ]

    def _deliver(self, sink: Sink, blocks: list[SampleBlock], at_s: float) -> None:
        wrong = during(self._episodes, DELIVERIES, start_s=at_s, end_s=at_s + 1e-9)
        fates = [self._fates(wrong, kind) for kind in DELIVERIES]
        lost, repeated, late = fates
        for lane, (name, block) in enumerate(zip(self.names, blocks, strict=True)):
            if lane in lost:
                continue
            if lane in late:
                self._waiting[lane].append(block)
                continue
            for waited in self._waiting.pop(lane, ()):
                sink.push(name, waited)
            sink.push(name, block)
            if lane in repeated:
                sink.push(name, block)

    def _fates(self, wrong: list[Episode], kind: str) -> set[int]:
        return {int(lane) for one in wrong if one.kind == kind for lane in one.lanes(len(self.names))}

    def _wait_until(self, deadline_s: float) -> None:
        while not self._closed.is_set() and (left_s := deadline_s - self._now()) > 0:
            self._sleep(min(left_s, _LONGEST_SLEEP_S))
