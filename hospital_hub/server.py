"""Running ingest and web together, until a signal ends both."""

from __future__ import annotations

import signal
from socket import socket

import click
import uvicorn

from hospital_hub.app import make_app
from hospital_hub.ingest import Ingest
from hospital_hub.live import Live
from hospital_hub.store import Store


class _Server(uvicorn.Server):
    """Says when it is ready, on one line that scripts can wait for; and ends the live events when it must stop."""

    def __init__(self, config: uvicorn.Config, live: Live, announcement: str) -> None:
        super().__init__(config)
        self._live, self._announcement = live, announcement

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            click.echo(self._announcement)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        self._live.closing = True
        await super().shutdown(sockets)


def serve_forever(store: Store, broker: str, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BrokerUnavailable: Nothing answers there.
    """
    live = Live()
    ingest = Ingest(broker, store, live)
    ingest.start()
    config = uvicorn.Config(
        make_app(store, live), host=host, port=port, log_level="warning", timeout_graceful_shutdown=2
    )
    server = _Server(config, live, f"hub ready: http://{host}:{port} broker {broker}")
    for ending in (signal.SIGTERM, signal.SIGINT):
        # uvicorn ends at a signal and then raises it again, which must not keep us from ending well.
        signal.signal(ending, lambda *_: None)
    try:
        server.run()
    finally:
        ingest.stop()
