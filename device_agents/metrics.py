"""How an agent is, in figures: what the hospital, Prometheus and ``edge-agent status`` are told. No patient's data."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from device_agents.health import Health, read_health
from device_agents.metrics_spread import Histogram, Spread
from edge_sdk import __version__
from edge_sdk.observation import ModelRef

_REFRESH_S = 1.0
_RECENT_S = 60.0


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent has counted since it was started.

    Attributes:
        streams: Open now.
        refused_streams: Left out because they were not what they had announced, or what no model reads.
        samples: Of all streams and channels.
        missing_samples: That never came.
        windows: Cut from the streams.
        rejected: Windows without an answer, by reason.
        waiting_blocks: That wait to be processed now.
        dropped_blocks: Given up because processing fell behind.
        backlog: Observations and tombstones that the hospital has not acknowledged.
        connected: Whether the broker is.
        models: That run.
    """

    streams: int = 0
    refused_streams: int = 0
    samples: int = 0
    missing_samples: int = 0
    windows: int = 0
    rejected: dict[str, int] = {}
    waiting_blocks: int = 0
    dropped_blocks: int = 0
    backlog: int = 0
    connected: bool = False
    models: tuple[ModelRef, ...] = ()


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent is at one moment.

    Attributes:
        at_ns: Which moment, UTC, nanoseconds since 1970.
        uptime_s: Since the agent was started.
        agent_version: Of this SDK.
        hardware: Slug of the board's hardware profile.
        windows_per_s: Over the last seconds.
        counted: Since the start.
        inference: Time in the runtime, a window.
        wait: From a block's arrival to its observations in the outbox.
        health: Of the machine.
    """

    at_ns: int
    uptime_s: float
    agent_version: str
    hardware: str
    windows_per_s: float
    counted: Counted
    inference: Spread
    wait: Spread
    health: Health


class Meter:
    """Keeps an agent's figures.

    The work loop notes times and calls `refresh` each turn; any thread may read `latest`.

    Args:
        counted: Returns the counts; called from within `refresh` alone.
        hardware: Slug of the board's hardware profile.
        health: Returns how the machine is.
        clock: Monotonic seconds.

    Attributes:
        inference: Times in the runtime, a window.
        wait: Times from a block's arrival to its observations in the outbox.
        latest: How the agent was at most a second ago, if the loop moves.
    """

    def __init__(
        self,
        counted: Callable[[], Counted],
        *,
        hardware: str,
        health: Callable[[], Health] = read_health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counted, self._hardware, self._health, self._clock = counted, hardware, health, clock
        self.inference, self.wait = Histogram(), Histogram()
        self._began_s = self._refreshed_s = self._turned_s = clock()
        self.latest = self._metrics(counted(), windows_per_s=0.0)

    def refresh(self) -> None:
        """Bring `latest` up to date when it is a second old."""
        now_s = self._clock()
        passed_s = now_s - self._refreshed_s
        if passed_s < _REFRESH_S:
            return
        counted = self._counted()
        self.latest = self._metrics(counted, windows_per_s=(counted.windows - self.latest.counted.windows) / passed_s)
        self._refreshed_s = now_s
        if now_s - self._turned_s >= _RECENT_S:
            self._turned_s = now_s
            self.inference.turn()
            self.wait.turn()

    def _metrics(self, counted: Counted, *, windows_per_s: float) -> Metrics:
        return Metrics(
            at_ns=time.time_ns(),
            uptime_s=round(self._clock() - self._began_s, 1),
            agent_version=__version__,
            hardware=self._hardware,
            windows_per_s=round(windows_per_s, 2),
            counted=counted,
            inference=self.inference.spread(),
            wait=self.wait.spread(),
            health=self._health(),
        )
