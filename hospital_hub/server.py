"""Running ingest and web together, until a signal ends both."""

from __future__ import annotations

import click
import uvicorn

from hospital_hub.app import Changes, make_app
from hospital_hub.ingest import Ingest
from hospital_hub.store import Store


class _Announcing(uvicorn.Server):
    """Says when it is ready, on one line that scripts can wait for."""

    announcement = ""

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            click.echo(self.announcement)


def serve_forever(store: Store, broker: str, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BrokerUnavailable: Nothing answers there.
    """
    changes = Changes()
    ingest = Ingest(broker, store, changed=changes)
    ingest.start()
    config = uvicorn.Config(
        make_app(store, changes), host=host, port=port, log_level="warning", timeout_graceful_shutdown=2
    )
    server = _Announcing(config)
    server.announcement = f"hub ready: http://{host}:{port} broker {broker}"
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        ingest.stop()
