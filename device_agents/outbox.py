"""The outbox: observations are written here before they are sent, and leave only when the hospital has them.

SQLite in WAL mode. A committed transaction survives a crash of the process; what a power cut may take is bounded by
syncing the log at least once a second, and at once for an alarm.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk.errors import StorageUnavailable
from edge_sdk.messages import Ack, RawEntry, Tombstone, encode_observation
from edge_sdk.observation import Observation, Priority

_log = logging.getLogger(__name__)
_SYNC_EVERY_S = 1.0
# Evicting a share at a time keeps a full outbox from working row by row.
_EVICT_SHARE = 0.02
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, alarm INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS alarms ON entries (seq) WHERE alarm = 1;
CREATE TABLE IF NOT EXISTS tombstones (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS produced (run TEXT PRIMARY KEY, observations INTEGER NOT NULL);
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much may wait."""

    max_rows: int
    max_bytes: int


class Outbox:
    """Durable observations of one device, numbered from 1 within an epoch. Safe to use from several threads.

    Args:
        path: The database file; created if it is not there, set aside if it is damaged.
        limits: What is beyond them is evicted, routine and oldest first, leaving tombstones.
        clock_s: Monotonic seconds.

    Raises:
        StorageUnavailable: The folder cannot be written.
    """

    def __init__(self, path: Path, *, limits: Limits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock_s, self._lock = limits, clock_s, threading.RLock()
        self._synced_s, self._dirty = clock_s(), False
        self._db = _open(path)
        self.epoch = self._fact("epoch", lambda: uuid.uuid4().hex)
        row = self._db.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM entries").fetchone()
        self._rows, self._bytes = int(row[0]), int(row[1])

    def put(self, observations: Sequence[Observation], *, run: str = "") -> None:
        """Store observations in one transaction.

        Args:
            observations: In order; they are given the next numbers.
            run: Name of a repeatable run; how many it has produced is counted in the same transaction.
        """
        if not observations:
            return
        rows = [(int(item.priority is Priority.ALARM), encode_observation(item)) for item in observations]
        with self._transaction(sync=any(alarm for alarm, _ in rows)) as db:
            db.executemany("INSERT INTO entries (alarm, data) VALUES (?, ?)", rows)
            if run:
                db.execute(
                    "INSERT INTO produced VALUES (?, ?) ON CONFLICT (run) DO UPDATE SET observations = observations + ?",
                    (run, len(rows), len(rows)),
                )
            rows_after, bytes_after = self._rows + len(rows), self._bytes + sum(len(data) for _, data in rows)
            self._rows, self._bytes = self._evict(db, rows_after, bytes_after)

    def produced(self, run: str) -> int:
        """Return how many observations a repeatable run has stored so far."""
        row = self._read("SELECT observations FROM produced WHERE run = ?", run)
        return int(row[0][0]) if row else 0

    def pending(self, *, after: int, limit: int, alarms_only: bool = False) -> list[RawEntry]:
        """Return up to ``limit`` waiting entries with numbers above ``after``, in order."""
        which = "alarm = 1 AND " if alarms_only else ""
        rows = self._read(f"SELECT seq, data FROM entries WHERE {which}seq > ? ORDER BY seq LIMIT ?", after, limit)  # noqa: S608
        return [RawEntry(seq, msgspec.Raw(data)) for seq, data in rows]

    def tombstones(self) -> tuple[Tombstone, ...]:
        """Return what was given up and is not yet known to the hospital."""
        rows = self._read("SELECT first_seq, last_seq, reason FROM tombstones ORDER BY first_seq")
        return tuple(Tombstone(first_seq=first, last_seq=last, reason=reason) for first, last, reason in rows)

    def acknowledge(self, ack: Ack) -> int:
        """Forget what the hospital has; return how many entries left. Another epoch's acknowledgement does nothing."""
        if ack.epoch != self.epoch or ack.watermark > self.last_seq:
            return 0
        with self._transaction() as db:
            gone = 0
            for first, last in ((0, ack.watermark), *ack.ranges):
                gone += db.execute("DELETE FROM entries WHERE seq BETWEEN ? AND ?", (first, last)).rowcount
            db.execute("DELETE FROM tombstones WHERE last_seq <= ?", (ack.watermark,))
            if gone:
                row = db.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM entries").fetchone()
                self._rows, self._bytes = int(row[0]), int(row[1])
        return gone

    @property
    def last_seq(self) -> int:
        """The highest number ever given."""
        row = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'entries'")
        return int(row[0][0]) if row else 0

    @property
    def floor(self) -> int:
        """The lowest number that is not settled; one above the last when nothing waits."""
        row = self._read(
            "SELECT min(s) FROM (SELECT min(seq) s FROM entries UNION SELECT min(first_seq) FROM tombstones)"
        )
        return int(row[0][0]) if row[0][0] is not None else self.last_seq + 1

    @property
    def backlog(self) -> int:
        """How many observations wait."""
        return self._rows

    @property
    def settled(self) -> bool:
        """Whether the hospital knows everything."""
        return self.floor > self.last_seq

    def sync_if_due(self) -> None:
        """Force what was committed to the disk if a second has passed since that was last done."""
        if self._dirty and self._clock_s() - self._synced_s >= _SYNC_EVERY_S:
            with self._transaction(sync=True) as db:
                db.execute("INSERT OR REPLACE INTO facts VALUES ('synced', '')")

    def close(self) -> None:
        """Force everything to the disk and let go of the file."""
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.close()

    def _evict(self, db: sqlite3.Connection, rows: int, size: int) -> tuple[int, int]:
        while rows > self._limits.max_rows or size > self._limits.max_bytes:
            share = max(1, int(self._limits.max_rows * _EVICT_SHARE))
            chosen = db.execute(
                "SELECT seq, length(data) FROM entries ORDER BY alarm, seq LIMIT ?", (min(share, rows),)
            ).fetchall()
            for first, last in _runs(seq for seq, _ in chosen):
                db.execute("DELETE FROM entries WHERE seq BETWEEN ? AND ?", (first, last))
                _bury(db, first, last)
            rows, size = rows - len(chosen), size - sum(length for _, length in chosen)
            _log.warning("the outbox is full: gave up %d observations", len(chosen))
        return rows, size

    def _fact(self, name: str, make: Callable[[], str]) -> str:
        with self._transaction(sync=True) as db:
            db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, make()))
            return str(db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()[0])

    def _read(self, statement: str, *values: object) -> list[Any]:
        with self._lock, _translated():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self, *, sync: bool = False) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated():
            due = sync or self._clock_s() - self._synced_s >= _SYNC_EVERY_S
            self._db.execute(f"PRAGMA synchronous = {'FULL' if due else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            self._dirty = not due
            if due:
                self._synced_s = self._clock_s()


def _bury(db: sqlite3.Connection, first: int, last: int) -> None:
    """Add a tombstone, joined with the one just before it."""
    before = db.execute("SELECT first_seq FROM tombstones WHERE last_seq = ?", (first - 1,)).fetchone()
    if before:
        db.execute("UPDATE tombstones SET last_seq = ? WHERE first_seq = ?", (last, before[0]))
    else:
        db.execute("INSERT INTO tombstones VALUES (?, ?, 'outbox full')", (first, last))


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield consecutive numbers as inclusive pairs."""
    first = last = None
    for number in numbers:
        if first is not None and last is not None and number != last + 1:
            yield first, last
            first = None
        first, last = (number if first is None else first), number
    if first is not None and last is not None:
        yield first, last


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageUnavailable(f"the outbox cannot be used ({error})", remedy="check the disk") from error


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) or not path.exists():
            raise StorageUnavailable(
                f"the outbox {path} cannot be opened ({error})", remedy="check the disk"
            ) from error
        aside = path.with_name(f"{path.name}.damaged-{uuid.uuid4().hex[:8]}")
        _log.error("the outbox is damaged (%s): set aside as %s; a new epoch begins", error, aside)  # noqa: TRY400
        _set_aside(path, aside)
        return _connect(path)
    except OSError as error:
        raise StorageUnavailable(
            f"{path.parent} cannot be made ({error.strerror})", remedy="check state_dir"
        ) from error


def _set_aside(path: Path, aside: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("its check failed")  # noqa: TRY301
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
