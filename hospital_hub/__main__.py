"""The command ``edge-hub``."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from edge_sdk import __version__
from edge_sdk.commands import EdgeCommand
from edge_sdk.errors import ConfigError
from edge_sdk.files import write_atomic
from hospital_hub.broker import EmbeddedBroker, free_port
from hospital_hub.config import HubConfig, load_config, with_options

_PATH = click.Path(path_type=Path)
_DATABASE = click.option("--database", default="sqlite:///hub.db", show_default=True, help="SQLAlchemy URL.")


@click.group(cls=EdgeCommand)
@click.version_option(__version__)
def main() -> None:
    """Receive, store and show what wearables observe."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)


@main.command()
@click.option("--config", "config_path", type=_PATH, help="Hub configuration, TOML; options override it.")
@click.option("--listen", help="Web address, HOST:PORT; port 0 takes a free one.")
@click.option("--database", help="SQLAlchemy URL, e.g. sqlite:///hub.db.")
@click.option("--broker", help="'embedded', or mqtt://HOST:PORT.")
@click.option("--broker-listen", help="Where the embedded broker listens, HOST:PORT.")
def serve(config_path: Path | None, **options: str | None) -> None:
    """Run the hub until it is told to stop."""
    config = with_options(load_config(config_path) if config_path else HubConfig(), options)
    host, port = _listen(config.listen)
    port = free_port(host, port)
    with _broker(config) as broker_url, _store(config.database) as store:
        from hospital_hub.server import serve_forever  # noqa: PLC0415  # the other commands need no web server

        serve_forever(store, broker_url, host=host, port=port)


@main.command()
@_DATABASE
@click.option("--format", "kind", default="fhir", show_default=True, help="fhir (NDJSON), csv or ndjson.")
@click.option("--out", type=_PATH, required=True, help="The file.")
@click.option("--device", default="", help="Only this one, SITE/DEVICE.")
@click.option("--code", default="", help="Only this code.")
def export(database: str, kind: str, out: Path, device: str, code: str) -> None:
    """Write observations to a file."""
    from hospital_hub.export import export as export_to  # noqa: PLC0415

    with _store(database, must_exist=True) as store:
        click.echo(f"{export_to(store, out, kind=kind, device=device, code=code)} observations in {out}")


@main.command()
@_DATABASE
@click.option("--json", "json_path", type=_PATH, help="The findings, JSON.")
def audit(database: str, json_path: Path | None) -> None:
    """Say what is stored of each device, and fail when something is missing without a tombstone."""
    from hospital_hub.audit import audit as audit_store  # noqa: PLC0415

    with _store(database, must_exist=True) as store:
        found = audit_store(store)
    if json_path:
        write_atomic(json_path, json.dumps(found, indent=2).encode() + b"\n")
    for epoch in found["epochs"]:
        click.echo(
            "{site}/{device} epoch {epoch}: {stored} stored, {first_seq}..{last_seq}, missing {missing}, "
            "{duplicates_refused} duplicates refused".format_map(epoch)
        )
    click.echo(f"{found['quarantined']} messages in quarantine")
    sys.exit(1 if any(epoch["missing"] for epoch in found["epochs"]) else 0)


def _listen(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"address {address!r} is not usable", remedy="write it like 127.0.0.1:8080")
    return host, int(port)


@contextmanager
def _broker(config: HubConfig) -> Iterator[str]:
    if config.broker != "embedded":
        yield config.broker
        return
    broker = EmbeddedBroker(*_listen(config.broker_listen))
    try:
        yield broker.url
    finally:
        broker.stop()


@contextmanager
def _store(database: str, *, must_exist: bool = False) -> Iterator[Any]:
    from hospital_hub.store import Store  # noqa: PLC0415  # slow to import, and --help needs it not

    path = database.removeprefix("sqlite:///")
    if must_exist and path != database and not Path(path).exists():
        raise ConfigError(f"database {database} does not exist", remedy="name the one that edge-hub serve writes")
    store = Store(database)
    try:
        yield store
    finally:
        store.close()


if __name__ == "__main__":
    main()
