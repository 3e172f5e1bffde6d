"""The loop: samples in, observations into the outbox."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from device_agents.intake import Arrival, Closed, Intake, Item, Opened
from device_agents.latest import LatestValues
from device_agents.monitor import Monitor
from device_agents.outbox import Outbox, Position
from device_agents.progress import Progress
from device_agents.uplink import Uplink
from edge_sdk.errors import EdgeError
from edge_sdk.observation import ClockQuality, Observation
from edge_sdk.signals import SampleBlock

_POLL_S = 0.1
_SILENT_S = 2.0
"""A live stream of which nothing comes for so long is missing: a lost signal must be told within 5 s."""
_DELIVERY_POLL_S = 0.02
# Blocks that come within this time are processed together: with many streams that saves most of the work.
_GATHER_PER_STREAM_S, _LONGEST_GATHER_S = 0.001, 0.15
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Counts:
    """What one run has done so far.

    Attributes:
        samples: Of all streams and channels.
        refused: Streams left out because they were not what they had announced, or what no model reads.
        waited: Called with the seconds from a block's arrival to its observations in the outbox, and their number.
    """

    samples: int = 0
    refused: int = 0
    waited: Callable[[float, int], None] = lambda *_: None


@dataclass(slots=True, kw_only=True)
class _Live:
    """Until when a live stream was heard of, and how long a silence of it is still nothing unusual."""

    rate_hz: float
    until_s: float
    patience_s: float = _SILENT_S

    def heard(self, block: SampleBlock, arrived_s: float) -> None:
        """Take in a block: a wearable that sends long ones is silent for as long."""
        self.until_s = arrived_s
        self.patience_s = max(self.patience_s, 2 * len(block.samples) / self.rate_hz)


class Agent:
    """Takes what streams deliver, lets the monitor judge it, and keeps what it tells.

    Args:
        intake: Where sources deliver.
        monitor: The signal path.
        models: Names of the models that read a stream, by the stream's name; others are read by all that can.
        progress: Of streams that would repeat themselves.
        outbox: What is kept.
        uplink: Delivers it.
        latest: What dashboards are shown.
        counts: What was done.
    """

    def __init__(  # noqa: PLR0913  # its parts
        self,
        *,
        intake: Intake,
        monitor: Monitor,
        models: Mapping[str, Sequence[str]],
        progress: Mapping[str, Progress],
        outbox: Outbox,
        uplink: Uplink,
        latest: LatestValues,
        counts: Counts,
    ) -> None:
        self._intake, self._monitor, self._models, self._progress = intake, monitor, models, progress
        self._outbox, self._uplink, self._latest, self._counts = outbox, uplink, latest, counts
        self._stopped = threading.Event()
        self._refused: set[str] = set()
        self._live: dict[str, _Live] = {}

    def stop(self) -> None:
        """End the loop and every wait. For signal handlers and other threads."""
        self._stopped.set()
        self._intake.shut()

    def run(self, *, until: Callable[[], bool] = lambda: False, beat: Callable[[], None] = lambda: None) -> None:
        """Process what comes until stopped, or until ``until`` says that nothing more will and all is processed.

        Args:
            until: Asked every turn.
            beat: Called every turn, several times a second: the work moves.

        Raises:
            EdgeError: The outbox or the uplink failed.
        """
        while not self._stopped.is_set():
            beat()
            over = until()
            gather_s = min(_GATHER_PER_STREAM_S * len(self._monitor), _LONGEST_GATHER_S)
            arrivals = self._intake.take(timeout_s=0 if over else _POLL_S, gather_s=0 if over else gather_s)
            silent = self._silent(time.monotonic()) if not over else {}
            if arrivals or silent:
                self._turn(arrivals, silent)
            elif over:
                break
            self._check_uplink()
        self._outbox.sync()

    def wait_until_delivered(self, *, deadline_s: float) -> bool:
        """Wait until the hospital has everything; return whether it has before the deadline (monotonic seconds)."""
        while self._outbox.backlog:
            if time.monotonic() > deadline_s or self._stopped.wait(_DELIVERY_POLL_S):
                return False
            self._check_uplink()
        return True

    def _silent(self, now_s: float) -> dict[str, float]:
        """Return the live streams of which nothing comes, and for how many seconds that was not known."""
        return {
            name: now_s - live.until_s for name, live in self._live.items() if now_s - live.until_s > live.patience_s
        }

    def _turn(self, arrivals: Sequence[Arrival], silent: Mapping[str, float]) -> None:
        first_s: dict[str, float] = {}
        told: list[Observation] = []
        for name, item, arrived_s in arrivals:
            try:
                if isinstance(item, Observation):
                    told.append(item)
                elif isinstance(item, Opened):
                    self._open(name, item)
                elif name in self._refused:
                    self._refused -= {name} if isinstance(item, Closed) else set()
                elif isinstance(item, Closed):
                    self._live.pop(name, None)
                    self._monitor.close(name)
                else:
                    self._monitor.push(name, item)
                    self._counts.samples += len(item.samples)
                    first_s.setdefault(name, arrived_s)
                    if live := self._live.get(name):
                        live.heard(item, arrived_s)
            except EdgeError as error:  # one stream's failure never stops another
                self._refuse(name, item, error)
        for name in sorted((silent.keys() & self._live.keys()) - first_s.keys()):
            self._monitor.silence(name, silent[name])
            self._live[name].until_s += silent[name]
        self._keep(told, first_s)

    def _refuse(self, name: str, item: Item, error: EdgeError) -> None:
        _log.error("stream '%s' is left out until it begins again: %s", name, error)
        self._counts.refused += 1
        self._refused.add(name)
        if not isinstance(item, Opened):
            self._live.pop(name, None)
            self._monitor.close(name)

    def _open(self, name: str, opened: Opened) -> None:
        self._monitor.open(
            name,
            format=opened.format,
            subject=opened.subject,
            clock=opened.clock,
            start_time_ns=opened.start_time_ns,
            models=self._models.get(name),
        )
        if opened.clock is not ClockQuality.REPLAYED:
            self._live[name] = _Live(rate_hz=opened.format.sample_rate_hz, until_s=time.monotonic())

    def _keep(self, new: list[Observation], first_s: Mapping[str, float]) -> None:
        """Put what wearables told, and what the monitor now tells, into the outbox."""
        positions: dict[str, Position] = {}
        waits: list[tuple[str, int]] = []
        for name, told in self._monitor.step().items():
            progress = self._progress.get(name)
            if progress is None:
                found: Sequence[Observation] = told.observations
            else:
                found, position = progress.new(told.observations, end_index=told.end_index)
                if position:
                    positions[name] = position
            if found:
                new += found
                waits.append((name, len(found)))
        self._outbox.put_many(new, positions=positions)
        self._latest.offer(new)
        now_s = time.monotonic()
        for name, count in waits:
            self._counts.waited(now_s - first_s.get(name, now_s), count)

    def _check_uplink(self) -> None:
        if self._uplink.failure:
            raise self._uplink.failure
