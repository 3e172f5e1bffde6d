"""The outbox's database file: made, opened, or moved aside when it is damaged."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from pathlib import Path

from edge_sdk.errors import StorageUnavailable

SCHEMA_VERSION = 1
_CACHE_KIB = 256  # everything is read once, in order: SQLite's usual 2 MB would be kept for nothing
_SCHEMA = """
CREATE TABLE identity (epoch TEXT NOT NULL);
CREATE TABLE observation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, even after every row is gone
    alarm INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX observation_alarm ON observation (seq) WHERE alarm = 1;
CREATE TABLE tombstone (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE position (
    stream TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    end_index INTEGER NOT NULL,
    produced INTEGER NOT NULL,
    start_time_ns INTEGER NOT NULL
);
"""
_log = logging.getLogger(__name__)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the outbox, making it when there is none, and starting anew when it is damaged.

    A damaged file is moved aside, never deleted: someone may want to recover what it held.

    Raises:
        StorageUnavailable: It cannot be opened, or a newer version of the agent made it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _opened(path)
        except sqlite3.OperationalError:  # the disk or the permissions, not the file's content
            raise
        except sqlite3.DatabaseError as error:
            _move_aside(path, error)
            return _opened(path)
    except (sqlite3.Error, OSError) as error:
        raise cannot_use(path, error) from error


def cannot_use(path: Path, error: Exception) -> StorageUnavailable:
    """Return the error that says why the outbox cannot be read or written now."""
    return StorageUnavailable(
        f"outbox {path} cannot be used ({error})", remedy="check the folder's permissions and the disk's free space"
    )


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise sqlite3.DatabaseError(state)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _create(connection)
    elif version != SCHEMA_VERSION:
        raise StorageUnavailable(
            f"outbox {path} has version {version}; this agent knows {SCHEMA_VERSION}", remedy="update the agent"
        )


def _create(connection: sqlite3.Connection) -> None:
    epoch = secrets.token_hex(8)
    connection.executescript(
        f"BEGIN IMMEDIATE; {_SCHEMA} INSERT INTO identity VALUES ('{epoch}');"  # noqa: S608  # hexadecimal digits
        f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _move_aside(path: Path, error: sqlite3.DatabaseError) -> None:
    aside = next(
        candidate
        for number in range(1, 1_000_000)
        if not (candidate := path.with_name(f"{path.name}.damaged-{number}")).exists()
    )
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    _log.error("outbox %s is damaged (%s): moved to %s, and a new epoch begins", path, error, aside.name)
