"""Bluetooth wearables and a radio in memory: bleak's interface, as far as it is used."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from device_agents.sources.ble_central import is_wanted


class FakeRadioError(Exception):
    """What the radio raises when something is not there."""


@dataclass(frozen=True)
class FakeCharacteristic:
    uuid: str
    properties: Collection[str] = ("notify",)


@dataclass
class FakePeripheral:
    """A wearable. Its methods are called from the test's thread."""

    address: str
    name: str
    offered: list[FakeCharacteristic]
    near: bool = True
    values: dict[str, bytes] = field(default_factory=dict)
    connections: int = 0
    disconnects: int = 0
    client: FakeClient | None = None
    subscribed: threading.Event = field(default_factory=threading.Event)

    def notify(self, uuid: str, value: bytes) -> None:
        client = self.client
        assert client is not None
        for callback in client.callbacks[uuid]:
            client.loop.call_soon_threadsafe(callback, None, bytearray(value))

    def vanish(self) -> None:
        """Go out of reach; the radio notices."""
        self.near = False
        self.subscribed.clear()
        if client := self.client:
            client.loop.call_soon_threadsafe(client.end)

    def come_back(self) -> None:
        self.near = True


class FakeClient:
    def __init__(self, peripheral: FakePeripheral, lost: Callable[[], None]) -> None:
        self._peripheral, self._lost = peripheral, lost
        self.loop = asyncio.get_running_loop()
        self.callbacks: dict[str, list[Callable[[object, bytearray], None]]] = {}

    @property
    def services(self) -> FakeClient:
        return self

    @property
    def characteristics(self) -> dict[int, FakeCharacteristic]:
        return dict(enumerate(self._peripheral.offered))

    async def connect(self) -> None:
        await asyncio.sleep(0)
        if not self._peripheral.near:
            raise FakeRadioError("it went away while connecting")
        self._peripheral.connections += 1
        self._peripheral.client = self

    async def disconnect(self) -> None:
        await asyncio.sleep(0)
        if self._peripheral.client is self:
            self._peripheral.disconnects += 1
            self._peripheral.client = None

    async def start_notify(
        self, char_specifier: FakeCharacteristic, callback: Callable[[object, bytearray], None]
    ) -> None:
        await asyncio.sleep(0)
        self.callbacks.setdefault(char_specifier.uuid, []).append(callback)
        self._peripheral.subscribed.set()

    async def read_gatt_char(self, char_specifier: FakeCharacteristic) -> bytearray:
        await asyncio.sleep(0)
        if not self._peripheral.near:
            raise FakeRadioError("not connected")
        return bytearray(self._peripheral.values[char_specifier.uuid])

    def end(self) -> None:
        self._peripheral.client = None
        self._lost()


class FakeCentral:
    """A radio that hears some wearables."""

    errors = (FakeRadioError,)

    def __init__(self, *peripherals: FakePeripheral) -> None:
        self._peripherals = peripherals
        self.busy = self.collisions = self.searches = 0

    async def find(self, wanted: str, *, timeout_s: float) -> FakePeripheral | None:
        assert timeout_s > 0
        self.searches += 1
        self.busy += 1
        self.collisions += self.busy > 1
        try:
            await asyncio.sleep(0.005)
        finally:
            self.busy -= 1
        near = [one for one in self._peripherals if one.near and is_wanted(wanted, one.address, one.name)]
        return near[0] if near else None

    def client(self, device: FakePeripheral, *, lost: Callable[[], None]) -> FakeClient:
        return FakeClient(device, lost)
