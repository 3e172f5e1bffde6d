"""The loop: samples in, observations into the outbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from device_agents.interpret import Interpreter
from device_agents.latest import LatestValues
from device_agents.outbox import Outbox
from device_agents.progress import Progress
from device_agents.sources.base import Source
from device_agents.uplink import Uplink
from edge_sdk.observation import Observation
from edge_sdk.signals import SampleBlock
from edge_sdk.windowing import Windower

_DELIVERY_POLL_S = 0.02


@dataclass(kw_only=True)
class Counts:
    """What one run has done so far."""

    samples: int = 0
    windows: int = 0


class Agent:
    """One stream through one model.

    Args:
        source: Where samples come from.
        windower: Cuts them.
        interpreter: Says what each window tells.
        progress: Keeps what is told, once.
        outbox: What is kept.
        uplink: Delivers it.
        latest: What dashboards are shown.
    """

    def __init__(  # noqa: PLR0913  # its parts
        self,
        *,
        source: Source,
        windower: Windower,
        interpreter: Interpreter,
        progress: Progress,
        outbox: Outbox,
        uplink: Uplink,
        latest: LatestValues,
        counts: Counts,
    ) -> None:
        self._source, self._windower, self._interpreter = source, windower, interpreter
        self._progress, self._outbox, self._uplink, self._latest = progress, outbox, uplink, latest
        self._counts = counts
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the loop and every wait. For signal handlers and other threads."""
        self._stopped.set()
        self._source.close()

    def run(self) -> None:
        """Process the source to its end, or until stopped.

        Raises:
            EdgeError: The outbox or the uplink failed.
        """
        for block in self._source.blocks():
            self._keep(self._observations(block), end_index=block.end_index)
            if self._stopped.is_set():
                return
        if not self._stopped.is_set():
            self._keep(self._last_observations(), end_index=self._counts.samples)
        self._outbox.sync()

    def wait_until_delivered(self, *, deadline_s: float) -> bool:
        """Wait until the hospital has everything; return whether it has before the deadline (monotonic seconds)."""
        while self._outbox.backlog:
            if time.monotonic() > deadline_s or self._stopped.wait(_DELIVERY_POLL_S):
                return False
            self._check_uplink()
        return True

    def _observations(self, block: SampleBlock) -> Iterator[Observation]:
        self._interpreter.push(block)
        self._counts.samples = block.end_index
        for window in self._windower.push(block.samples[:, 0]):
            self._counts.windows += 1
            yield from self._interpreter.observe(window)
        yield from self._interpreter.settle()

    def _last_observations(self) -> Iterator[Observation]:
        for window in self._windower.flush():
            self._counts.windows += 1
            yield from self._interpreter.observe(window)
        yield from self._interpreter.settle(at_end=True)

    def _keep(self, observations: Iterator[Observation], *, end_index: int) -> None:
        self._latest.offer(self._progress.keep(list(observations), end_index=end_index))
        self._check_uplink()

    def _check_uplink(self) -> None:
        if self._uplink.failure:
            raise self._uplink.failure
