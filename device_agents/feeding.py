"""Sources at work: each in a thread of its own, delivering into the intake."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from device_agents.intake import Intake
from device_agents.sources.base import Feed, Source
from device_agents.sources.ble_source import BleSource
from edge_sdk.errors import EdgeError

_log = logging.getLogger(__name__)


class Feeder:
    """Runs sources until they end or are stopped.

    Args:
        intake: Where they deliver.

    Attributes:
        failures: Why sources ended that should not have, by stream.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._threads: dict[str, tuple[Source | Feed | BleSource, threading.Thread]] = {}
        self.failures: dict[str, EdgeError] = {}

    def add(self, name: str, source: Source, *, subject: str) -> None:
        """Add a stream; `start` begins it."""
        self._add(name, source, lambda: self._deliver(name, source, subject))

    def add_feed(self, name: str, feed: Feed) -> None:
        """Add what delivers streams of its own; `start` begins it."""
        self._add(name, feed, lambda: feed.run(self._intake))

    def start(self) -> None:
        """Begin every stream that has not begun."""
        for _, thread in self._threads.values():
            if thread.ident is None:
                thread.start()

    def stop(self) -> None:
        """End every stream and wait until it has."""
        for source, _ in self._threads.values():
            source.close()
        self._intake.shut()
        for _, thread in self._threads.values():
            if thread.ident is not None:
                thread.join()

    def ended(self) -> bool:
        """Return whether nothing more will come."""
        return not any(thread.is_alive() or thread.ident is None for _, thread in self._threads.values())

    def raise_if_all_failed(self) -> None:
        """Raise the first failure if no stream came to its end."""
        if self.failures and len(self.failures) == len(self._threads):
            raise next(iter(self.failures.values()))

    def add_wearable(self, name: str, source: BleSource, *, subject: str) -> None:
        """Add a wearable that tells values; `start` begins it."""

        def listen() -> None:
            for reading in source.readings():
                self._intake.tell(reading.observation(stream=name, subject=subject))

        self._add(name, source, listen)

    def _add(self, name: str, source: Source | Feed | BleSource, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._run, args=(name, work), name=f"source {name}", daemon=True)
        self._threads[name] = (source, thread)

    def _run(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except EdgeError as error:
            self.failures[name] = error
            _log.error("source '%s' ended: %s", name, error)

    def _deliver(self, name: str, source: Source, subject: str) -> None:
        intake, reason = self._intake, "the source ended"
        intake.open(
            name,
            format=source.format,
            clock=source.clock,
            start_time_ns=source.start_time_ns,
            subject=subject,
            patient=True,
        )
        try:
            for block in source.blocks():
                intake.push(name, block)
        except EdgeError as error:
            reason = str(error)
            raise
        finally:
            intake.close(name, reason)
