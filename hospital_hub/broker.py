"""The embedded MQTT broker, for a demo or a small ward: amqtt in a thread of its own, on a loopback port."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Any

from edge_sdk.errors import AddressInUse, BrokerUnavailable

_START_S = 20.0


class EmbeddedBroker:
    """Listens from construction until `stop`.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.

    Raises:
        AddressInUse: The port is taken.
        BrokerUnavailable: It did not start.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, free_port(host, port)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._broker: Any = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_S) or self._failure:
            raise BrokerUnavailable(f"the embedded broker did not start ({self._failure})") from self._failure

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://{self.host}:{self.port}"

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(_START_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_START_S)

    def _run(self) -> None:
        from hospital_hub.amqtt_broker import DiscreetBroker  # noqa: PLC0415  # heavy; an external broker needs none

        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        asyncio.set_event_loop(self._loop)
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        try:
            self._broker = DiscreetBroker(config, loop=self._loop)
            self._loop.run_until_complete(self._broker.start())
        except BaseException as error:  # noqa: BLE001  # it is raised again where the thread was started
            self._failure = error
            self._ready.set()
            return
        self._ready.set()
        self._loop.run_forever()


def free_port(host: str, port: int) -> int:
    """Return the port if nothing listens there, or a free one for 0.

    Raises:
        AddressInUse: It is taken, or not an address of this machine.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise AddressInUse(
                f"{host}:{port} cannot be listened on ({error})", remedy="choose another port, or stop what is there"
            ) from error
        chosen: int = probe.getsockname()[1]
        return chosen
