"""The databases that a hub may use, each a real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.processes import Postgres

KINDS = ("sqlite", "postgresql")


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a new, empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'hub.db'}"
        return
    server = Postgres(folder=folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
