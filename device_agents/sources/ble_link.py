"""One wearable kept connected: found, subscribed to, lost, and found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from device_agents.delivery import full_jitter_s
from device_agents.sources.ble_central import Central, Characteristic, Client
from device_agents.sources.ble_readings import BATTERY_LEVEL, CHARACTERISTICS
from edge_sdk.errors import SignalError, Unavailable

_FIND_S = 5.0  # straps advertise every second or so; other wearables wait meanwhile for the radio
_MOST_DOUBLINGS = 2  # 10 s at most: a wearable that is back must be heard soon
_BATTERY_S = 300.0  # its answer also shows that the link is not dead
_STOP_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who is told about one wearable.

    Attributes:
        heard: Takes a characteristic's UUID and a value of it.
        linked: Is told that it is connected.
        lost: Is told that it is not, and why; again whenever another try fails.
    """

    heard: Callable[[str, bytes], None]
    linked: Callable[[], None]
    lost: Callable[[str], None]


class BleLink:
    """Keeps one wearable connected until cancelled.

    Args:
        wanted: Its address, or the name it advertises.
        central: The radio.
        turn: Held while the radio looks for a wearable or connects: it cannot do two of these at once.
        chance: Draws from 0 to 1.
    """

    def __init__(self, wanted: str, *, central: Central, turn: asyncio.Lock, chance: Callable[[], float]) -> None:
        self._wanted, self._central, self._turn, self._chance = wanted, central, turn, chance

    async def run(self, listener: Listener) -> None:
        """Deliver what the wearable says, over as many connections as it takes.

        Raises:
            SignalError: It offers nothing that is understood.
        """
        transient: tuple[type[Exception], ...] = (*self._central.errors, Unavailable, asyncio.TimeoutError)
        attempt = 0
        while True:
            try:
                async with self._connected() as (client, ended):
                    subscribed = await _subscribe(client, listener.heard)
                    attempt = 0
                    listener.linked()
                    await _stay(client, ended, subscribed, listener.heard)
                reason = "the connection ended"
            except transient as error:
                reason = str(error) or type(error).__name__
            listener.lost(reason)
            await asyncio.sleep(full_jitter_s(min(attempt, _MOST_DOUBLINGS), chance=self._chance))
            attempt += 1

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[Client, asyncio.Event]]:
        ended = asyncio.Event()
        client: Client | None = None
        try:
            async with self._turn:
                device = await self._central.find(self._wanted, timeout_s=_FIND_S)
                if device is None:
                    raise Unavailable(f"nothing of the address or name '{self._wanted}' advertises within reach")
                client = self._central.client(device, lost=ended.set)
                await client.connect()
            yield client, ended
        finally:
            if client is not None:
                with suppress(*self._central.errors, asyncio.TimeoutError):
                    await asyncio.wait_for(client.disconnect(), _STOP_S)


async def _subscribe(client: Client, heard: Callable[[str, bytes], None]) -> list[Characteristic]:
    """Subscribe to all that is understood, and return the battery levels that must be asked for."""
    offered = list(client.services.characteristics.values())
    if not offered:
        raise Unavailable("the wearable did not say what it offers")
    known = [one for one in offered if one.uuid in CHARACTERISTICS]
    if all(one.uuid == BATTERY_LEVEL for one in known):
        raise SignalError(
            f"the wearable offers {', '.join(sorted({one.uuid for one in offered}))}, and none of these is read here",
            remedy="choose a heart rate monitor, pulse oximeter or thermometer that keeps to the Bluetooth standard",
        )
    for one in known:
        if {"notify", "indicate"} & set(one.properties):
            await client.start_notify(one, _hearing(heard, one.uuid))
    return [one for one in known if one.uuid == BATTERY_LEVEL and "read" in one.properties]


def _hearing(heard: Callable[[str, bytes], None], uuid: str) -> Callable[[object, bytearray], None]:
    return lambda _sender, value: heard(uuid, bytes(value))


async def _stay(
    client: Client,
    ended: asyncio.Event,
    batteries: list[Characteristic],
    heard: Callable[[str, bytes], None],
) -> None:
    """Return when the connection has ended; ask for the battery's charge meanwhile."""
    while not ended.is_set():
        for battery in batteries:
            heard(battery.uuid, bytes(await client.read_gatt_char(battery)))
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), _BATTERY_S)
