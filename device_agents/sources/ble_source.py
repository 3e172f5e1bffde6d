"""Bluetooth LE wearables as sources of readings."""

from __future__ import annotations

import asyncio
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from device_agents.sources.ble_central import Central
from device_agents.sources.ble_link import BleLink, Listener
from device_agents.sources.ble_reading import Arrival, Reading
from device_agents.sources.ble_readings import CHARACTERISTICS, CONTINUOUS
from edge_sdk.codes import RR_INTERVAL, Code
from edge_sdk.errors import SignalError

_log = logging.getLogger(__name__)
_LOST, _REASON = "temp-unknown", "link lost"


class Radio:
    """One Bluetooth radio for all wearables of a gateway, in a thread of its own.

    Args:
        central: The radio.

    Attributes:
        turn: Held by whoever has the radio look for a wearable.
    """

    def __init__(self, central: Central) -> None:
        self.central, self.turn = central, asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bluetooth", daemon=True)
        self._thread.start()

    def work(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Have something done in the radio's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[[], object]) -> None:
        """Have a function called in the radio's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Disconnect every wearable, and end the thread. May be called twice."""
        if not self._loop.is_closed():
            self.work(self._end()).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkFacts:
    """How it stands with one wearable.

    Attributes:
        connected: Whether it is.
        losses: How often it was lost.
        refused: Messages that were not what they should be.
        reason: Why it is not connected; empty before the first try and while it is.
    """

    connected: bool = False
    losses: int = 0
    refused: int = 0
    reason: str = ""


class BleSource:
    """One Bluetooth LE wearable: a heart rate monitor, pulse oximeter or thermometer.

    Args:
        wanted: Its address, or the name it advertises.
        radio: What reaches it.
        now_ns: UTC time, nanoseconds since 1970.
        chance: Draws from 0 to 1, for the pauses between tries.

    Attributes:
        link: How it stands with the wearable.
    """

    def __init__(
        self,
        wanted: str,
        *,
        radio: Radio,
        now_ns: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._wanted, self._radio, self._now_ns, self._chance = wanted, radio, now_ns, chance
        self._readings: queue.SimpleQueue[Reading | None] = queue.SimpleQueue()
        self._told: dict[Code, Reading] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.link = LinkFacts()

    def readings(self) -> Iterator[Reading]:
        """Yield what the wearable says, until closed. Call it once.

        When a wearable is lost that measures continuously, its values are told to be absent, once. A thermometer or a
        spot check hangs up when it has spoken.

        Raises:
            SignalError: It offers nothing that is understood.
        """
        work = self._radio.work(self._listen())
        try:
            yield from iter(self._readings.get, None)
        finally:
            self.close()
            with suppress(CancelledError):  # the radio was closed first
                work.result()

    def close(self) -> None:
        """Disconnect, and end `readings`. May be called twice, and from another thread."""
        self._radio.call(self._stop)

    def _stop(self) -> None:
        self._closed = True
        if self._task:
            self._task.cancel()

    async def _listen(self) -> None:
        link = BleLink(self._wanted, central=self._radio.central, turn=self._radio.turn, chance=self._chance)
        try:
            if not self._closed:
                listener = Listener(heard=self._on_heard, linked=self._on_linked, lost=self._on_lost)
                self._task = asyncio.create_task(link.run(listener))
                await asyncio.wait([self._task])
                if not self._task.cancelled():
                    self._task.result()
        finally:
            self.link = replace(self.link, connected=False)
            self._readings.put(None)

    def _on_heard(self, uuid: str, value: bytes) -> None:
        now_ns = self._now_ns()
        try:
            readings = CHARACTERISTICS[uuid](value, Arrival(now_ns))
        except SignalError as error:
            self.link = replace(self.link, refused=self.link.refused + 1)
            _log.warning("wearable '%s': %s", self._wanted, error)
            return
        for reading in readings:
            if uuid in CONTINUOUS and reading.code != RR_INTERVAL:
                self._told[reading.code] = reading
            self._readings.put(reading)

    def _on_linked(self) -> None:
        self.link = replace(self.link, connected=True, reason="")
        _log.info("wearable '%s' is connected", self._wanted)

    def _on_lost(self, reason: str) -> None:
        if reason != self.link.reason:
            _log.warning("wearable '%s' is not connected: %s", self._wanted, reason)
        was = self.link.connected
        self.link = replace(self.link, connected=False, losses=self.link.losses + was, reason=reason)
        now_ns = self._now_ns()
        for reading in self._told.values():
            gone = Reading(
                code=reading.code,
                unit=reading.unit,
                time_ns=now_ns,
                value=None,
                absent_reason=_LOST,
                remarks=(_REASON,),
            )
            self._readings.put(gone)
        self._told.clear()
