"""What is needed of a Bluetooth radio, and bleak as what gives it.

The protocols are the part of bleak's interface that is used, so that a radio in memory can take bleak's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from edge_sdk.errors import MissingDependency

_CONNECT_S = 20.0


class Characteristic(Protocol):
    """One thing that can be read or subscribed to."""

    @property
    def uuid(self) -> str:
        """Its kind, 36 characters."""

    @property
    def properties(self) -> Any:
        """What can be done with it: ``read``, ``notify``, ``indicate``."""


class Services(Protocol):
    """What a wearable offers."""

    @property
    def characteristics(self) -> Mapping[int, Any]:
        """Every `Characteristic`, by handle."""


class Client(Protocol):
    """A connection to one wearable: `bleak.BleakClient`, as far as it is used."""

    @property
    def services(self) -> Services:
        """What the wearable offers, once connected."""

    async def connect(self) -> Any:
        """Connect, and find out what is offered."""

    async def disconnect(self) -> Any:
        """End the connection; does nothing if there is none."""

    async def start_notify(self, char_specifier: Any, callback: Callable[[Any, bytearray], None]) -> None:
        """Have notifications or indications delivered."""

    async def read_gatt_char(self, char_specifier: Any) -> bytearray:
        """Read a value."""


class Central(Protocol):
    """A radio.

    Attributes:
        errors: What it raises when a wearable or the radio is not there now.
    """

    errors: tuple[type[Exception], ...]

    async def find(self, wanted: str, *, timeout_s: float) -> Any:
        """Return the wearable of this address or name, or ``None`` if it is not heard in time."""

    def client(self, device: Any, *, lost: Callable[[], None]) -> Client:
        """Return a connection to what was found, not yet made; ``lost`` is called when it ends."""


class BleakCentral:
    """Implements `Central` with bleak: BlueZ over D-Bus on Linux.

    Raises:
        MissingDependency: bleak is not installed.
    """

    def __init__(self) -> None:
        try:
            import bleak  # noqa: PLC0415  # 5 MiB that only gateways with Bluetooth wearables pay
        except ImportError as error:
            raise MissingDependency(
                "bleak, which speaks Bluetooth, is not installed", remedy="pip install 'wearable-edge-sdk[ble]'"
            ) from error
        self._bleak = bleak
        self.errors: tuple[type[Exception], ...] = (bleak.exc.BleakError, OSError, EOFError, TimeoutError)

    async def find(self, wanted: str, *, timeout_s: float) -> Any:
        """Look among the connected, which advertise no more, as after an agent that was killed; then listen."""
        adapter = await self._bleak.BleakAdapter.get()
        for device in await adapter.get_connected_devices():
            if is_wanted(wanted, device.address, device.name):
                return device
        return await self._bleak.BleakScanner.find_device_by_filter(
            lambda device, heard: is_wanted(wanted, device.address, heard.local_name or device.name),
            timeout=timeout_s,
        )

    def client(self, device: Any, *, lost: Callable[[], None]) -> Client:
        """Return bleak's client."""
        client: Client = self._bleak.BleakClient(
            device, disconnected_callback=lambda _client: lost(), timeout=_CONNECT_S
        )
        return client


def is_wanted(wanted: str, address: str, name: str | None) -> bool:
    """Return whether a wearable is the one of this address or name."""
    return address.lower() == wanted.lower() or name == wanted
