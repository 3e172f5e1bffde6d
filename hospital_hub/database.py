"""A database by its URL: opened, migrated to this program's schema, and its errors translated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from edge_sdk.errors import ConfigError, InvalidInput, StorageUnavailable

_REFUSED = (sa.exc.DataError, sa.exc.IntegrityError)


class RowRefused(InvalidInput):
    """The database will never take this row; trying again cannot help."""


class Database:
    """SQLite or PostgreSQL. Safe to use from several threads.

    Args:
        url: SQLAlchemy's, e.g. ``sqlite:///hub.db`` or ``postgresql+psycopg://…``.

    Raises:
        ConfigError: Not a database URL, or a schema newer than this program.
        StorageUnavailable: It cannot be opened or migrated.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        try:
            self._migrate(url)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Yield a connection; what was done is committed at the end, or nothing is.

        Raises:
            RowRefused: The database will never take what was given.
            StorageUnavailable: It cannot work now.
        """
        with self._translated(), self._engine.execution_options(writes=True).begin() as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a connection whose queries all see the same moment. Raises like `writing`."""
        with self._translated(), self._engine.begin() as db:
            yield db

    def close(self) -> None:
        """Let go of it."""
        self._engine.dispose()

    def _migrate(self, url: str) -> None:
        try:
            with self._engine.execution_options(writes=True).begin() as db:
                _upgrade(db)
        except CommandError as error:
            raise ConfigError(f"database {url} was written by a newer edge-hub ({error})", remedy="update") from error
        except sa.exc.DBAPIError as error:
            raise StorageUnavailable(
                f"database {url} cannot be opened ({error.orig})", remedy="check its path, permissions and contents"
            ) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _REFUSED as error:
            raise RowRefused(f"the database refuses this ({error.orig})") from error
        except sa.exc.DBAPIError as error:
            raise StorageUnavailable(f"the database failed ({error.orig})", remedy="check it and its disk") from error


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        engine = sa.create_engine(parsed)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError, ValueError) as error:
        raise ConfigError(f"database {url!r} cannot be used ({error})", remedy="try sqlite:///hub.db") from error
    except OSError as error:
        raise StorageUnavailable(
            f"database {url} has no usable folder ({error.strerror})", remedy="check its path and permissions"
        ) from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _tune_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # or Python commits before every CREATE TABLE, and half a migration could stay
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # an acknowledgement must survive a power cut
    connection.execute("PRAGMA busy_timeout = 10000")


def _begin_sqlite(db: sa.Connection) -> None:
    # Who will write waits for the other writer at once; a reader that turns writer later would fail instead.
    db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get("writes") else "BEGIN")


def _upgrade(db: sa.Connection) -> None:
    with resources.as_file(resources.files("hospital_hub") / "schema") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = db
        command.upgrade(config, "head")
