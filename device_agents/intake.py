"""Where every source delivers: a queue between the threads that read and the one that computes.

When the computing falls behind, who asks for blocks one by one can wait, and a recording always can. What pushes them
cannot: of such a stream the oldest samples are given up, counted, and told as a gap.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from edge_sdk.errors import SignalError
from edge_sdk.observation import ClockQuality, Observation
from edge_sdk.signals import SampleBlock, SignalFormat

AHEAD_S = 5.0
"""Seconds of a stream that may wait: less than the 10 s in which a monitor must alarm (IEC 60601-2-27)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A stream begins; the fields are those of `Sink.open`."""

    format: SignalFormat
    clock: ClockQuality
    start_time_ns: int
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """A stream ends, and why."""

    reason: str


Item = Opened | SampleBlock | Closed | Observation
Arrival = tuple[str, Item, float]
"""The stream, what came of it, and when: monotonic seconds."""


class Intake:
    """Implements `Sink`; safe to use from many threads.

    Attributes:
        dropped: Blocks given up, by stream.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrivals: deque[Arrival] = deque()
        self._waiting: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self._patient: set[str] = set()
        self._shut = False
        self.dropped: Counter[str] = Counter()

    def open(
        self,
        name: str,
        *,
        format: SignalFormat,  # noqa: A002  # the word
        clock: ClockQuality,
        start_time_ns: int,
        subject: str = "",
        patient: bool = False,
    ) -> None:
        """Begin a stream; a ``patient`` one waits for room instead of giving up its oldest blocks.

        Raises:
            SignalError: There is one of this name already.
        """
        with self._changed:
            if name in self._limits:
                raise SignalError(f"stream '{name}' is open already", remedy="give every stream a name of its own")
            self._limits[name] = max(1, round(AHEAD_S * format.sample_rate_hz))
            if patient or clock is ClockQuality.REPLAYED:
                self._patient.add(name)
            self._waiting[name] = 0
            opened = Opened(format=format, clock=clock, start_time_ns=start_time_ns, subject=subject)
            self._add(name, opened)

    def push(self, name: str, block: SampleBlock) -> None:
        """Add a block; to a patient stream's, wait for room first.

        Raises:
            SignalError: No stream of this name is open.
        """
        with self._changed:
            limit = self._limit(name)
            if name in self._patient:
                self._changed.wait_for(lambda: self._waiting[name] <= limit or self._shut)
            self._add(name, block)
            self._waiting[name] += len(block.samples)
            if self._waiting[name] > limit and name not in self._patient:
                self._give_up(name, limit)

    def tell(self, observation: Observation) -> None:
        """Pass on what a wearable found out itself."""
        with self._changed:
            self._add(observation.stream, observation)

    def close(self, name: str, reason: str) -> None:
        """End a stream.

        Raises:
            SignalError: No stream of this name is open.
        """
        with self._changed:
            self._limit(name)
            del self._limits[name], self._waiting[name]
            self._patient.discard(name)
            self._add(name, Closed(reason))

    def take(self, *, timeout_s: float, gather_s: float = 0.0) -> deque[Arrival]:
        """Wait until something comes, then ``gather_s`` more, and return all that came, in order."""
        with self._changed:
            if not self._arrivals:
                self._changed.wait(timeout_s)
        if gather_s:
            time.sleep(gather_s)
        with self._changed:
            taken, self._arrivals = self._arrivals, deque()
            self._waiting = dict.fromkeys(self._waiting, 0)
            self._changed.notify_all()
        return taken

    def shut(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._shut = True
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Blocks that wait."""
        return len(self._arrivals)

    def _add(self, name: str, item: Item) -> None:
        if not self._arrivals:
            self._changed.notify_all()
        self._arrivals.append((name, item, time.monotonic()))

    def _limit(self, name: str) -> int:
        try:
            return self._limits[name]
        except KeyError:
            raise SignalError(f"no stream '{name}' is open", remedy="open it before its first block") from None

    def _give_up(self, name: str, limit: int) -> None:
        """Leave out the stream's oldest blocks; the gap shows by the index of the next."""
        kept: deque[Arrival] = deque()
        for arrival in self._arrivals:
            block = arrival[1]
            if arrival[0] == name and isinstance(block, SampleBlock) and self._waiting[name] > limit:
                self._waiting[name] -= len(block.samples)
                self.dropped[name] += 1
            else:
                kept.append(arrival)
        self._arrivals = kept
