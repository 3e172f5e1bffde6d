"""Taking up a new configuration while the agent works: read and prepared beside the work, swapped between two turns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Generic, TypeVar

from device_agents.config import AgentConfig
from device_agents.reload import Changes, Snapshot, check_live, difference, take_snapshot
from edge_sdk.errors import EdgeError

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class NewConfig(Generic[T]):
    """A configuration that is fit to be taken up.

    Attributes:
        config: All of it.
        changes: What is different.
        prepared: What was made ready for it.
    """

    config: AgentConfig
    changes: Changes
    prepared: T


class Reloader(Generic[T]):
    """Reads the configuration again when asked to. One that is wrong leaves the old one in force.

    Args:
        path: The configuration's file.
        current: What is in force.
        prepare: Makes ready what takes long, such as models, in a thread of its own; its errors refuse the
            configuration.

    Attributes:
        refusal: Why the configuration that was read last is not in force; empty when it is.
    """

    def __init__(self, path: Path, current: Snapshot, prepare: Callable[[AgentConfig, Changes], T]) -> None:
        self._path, self._current, self._prepare = path, current, prepare
        self._asked: SimpleQueue[bool] = SimpleQueue()  # which a signal's handler may fill at any moment
        self._ready: NewConfig[T] | None = None
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self.refusal = ""

    def start(self) -> None:
        """Begin to listen to `ask`."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        if self._thread.is_alive():
            self._asked.put(False)
            self._taken.set()
            self._thread.join()

    def ask(self) -> None:
        """Let the configuration be read again. For signal handlers and other threads."""
        self._asked.put(True)

    def take(self) -> NewConfig[T] | None:
        """Return the new configuration, if there is one; from now on it counts as in force. For the work loop."""
        ready = self._ready
        if ready is not None:
            self._ready = None
            self._taken.set()
        return ready

    def _run(self) -> None:
        while self._asked.get():
            try:
                self._read()
            except EdgeError as error:
                self.refusal = str(error)
                _log.error("the new configuration is refused, and the one before stays in force: %s", error)

    def _read(self) -> None:
        new = take_snapshot(self._path)
        changes = difference(self._current, new)
        check_live(changes)
        self.refusal = ""
        if not changes:
            _log.info("the configuration is read again, and nothing in it has changed")
            return
        prepared = self._prepare(new.config, changes)
        self._ready = NewConfig(config=new.config, changes=changes, prepared=prepared)
        # The next one is compared with this one, so it must be in force first.
        self._taken.wait()
        self._taken.clear()
        self._current = new
