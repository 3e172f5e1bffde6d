"""Written before it is sent, kept until the hospital has it: the device's memory of what it found.

A commit survives a crash of the process at once. To survive a power cut it must be on the disk, and SD cards wear
out: routine observations are put there together, once a second, alarms at once. Nothing leaves before it is on the
disk, or a power cut could give its number to another observation.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from device_agents.outbox_file import cannot_use, open_database
from edge_sdk.messages import Ack, RawEntry, Tombstone, encode_observation
from edge_sdk.observation import Observation, Priority

SYNC_INTERVAL_S = 1.0
_EVICTED = "outbox full"
# Literals, not parameters: only so can SQLite use the partial index on alarms.
_PENDING = {
    False: "SELECT seq, payload FROM observation WHERE alarm = 0 AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
    True: "SELECT seq, payload FROM observation WHERE alarm = 1 AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
}
_OLDEST = {
    False: "SELECT seq FROM observation WHERE alarm = 0 ORDER BY seq LIMIT ?",
    True: "SELECT seq FROM observation WHERE alarm = 1 ORDER BY seq LIMIT ?",
}
_EVICTED_TOGETHER = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """How far a recording has been processed.

    Attributes:
        identity: Which recording, model and way of cutting it into blocks.
        end_index: Samples processed.
        produced: Observations put so far.
        start_time_ns: The time that sample 0 was given.
    """

    identity: str
    end_index: int
    produced: int
    start_time_ns: int


class Outbox:
    """Observations on their way to the hospital. Safe to use from several threads.

    Args:
        path: The database.
        max_rows: Observations it may hold.
        max_bytes: Encoded bytes it may hold.
        clock: Monotonic seconds.

    Raises:
        StorageUnavailable: From any method, when the disk does not do what it should.
    """

    def __init__(
        self, path: Path, *, max_rows: int, max_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._max_rows, self._max_bytes, self._clock = path, max_rows, max_bytes, clock
        self._lock = threading.RLock()
        self._db = open_database(path)
        self.epoch = str(self._one("SELECT epoch FROM identity"))
        self._last_seq = int(self._one("SELECT seq FROM sqlite_sequence WHERE name = 'observation'") or 0)
        self._rows = int(self._one("SELECT count(*) FROM observation"))
        self._bytes = int(self._one("SELECT total(length(payload)) FROM observation"))
        self._durable_seq, self._synced_at_s = 0, clock()
        self.sync()  # what a crashed process committed may not be on the disk yet

    @property
    def last_seq(self) -> int:
        """The number given last; 0 before the first."""
        return self._last_seq

    @property
    def durable_seq(self) -> int:
        """The highest number that is on the disk, and so may be sent."""
        return self._durable_seq

    @property
    def backlog(self) -> int:
        """Observations and tombstones that the hospital has not acknowledged."""
        with self._lock:
            return self._rows + int(self._one("SELECT count(*) FROM tombstone"))

    @property
    def floor(self) -> int:
        """The lowest number that may still be sent; everything below is settled."""
        with self._lock:
            lowest = [
                self._one("SELECT min(seq) FROM observation"),
                self._one("SELECT min(first_seq) FROM tombstone"),
                self._last_seq + 1,
            ]
            return min(int(seq) for seq in lowest if seq is not None)

    def put(self, observation: Observation) -> int:
        """Keep one observation and return its number."""
        return self.put_many([observation])[0]

    def put_many(
        self, observations: Sequence[Observation], *, positions: Mapping[str, Position] | None = None
    ) -> list[int]:
        """Keep observations and return their numbers; with them, or not at all, how far their streams have come."""
        if not observations and not positions:
            return []
        alarms = [observation.priority is Priority.ALARM for observation in observations]
        payloads = [encode_observation(observation) for observation in observations]
        with self._transaction(to_disk=any(alarms) or self._sync_due()):
            seqs = range(self._last_seq + 1, self._last_seq + 1 + len(payloads))
            self._db.executemany("INSERT INTO observation VALUES (?, ?, ?)", zip(seqs, alarms, payloads, strict=True))
            self._db.executemany(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?, ?, ?)",
                [
                    (name, at.identity, at.end_index, at.produced, at.start_time_ns)
                    for name, at in (positions or {}).items()
                ],
            )
            self._last_seq += len(payloads)
            self._rows += len(payloads)
            self._bytes += sum(map(len, payloads))
            self._make_room()
        return list(seqs)

    def position(self, stream: str) -> Position | None:
        """Return how far a stream has come, if it was ever remembered."""
        with self._lock:
            row = self._db.execute(
                "SELECT identity, end_index, produced, start_time_ns FROM position WHERE stream = ?", (stream,)
            ).fetchone()
        return (
            None if row is None else Position(identity=row[0], end_index=row[1], produced=row[2], start_time_ns=row[3])
        )

    def sync(self) -> None:
        """Put everything on the disk."""
        with self._transaction(to_disk=True):
            self._db.execute("UPDATE identity SET epoch = epoch")  # a commit that writes nothing reaches no disk

    def sync_if_due(self) -> None:
        """Put everything on the disk if something has waited for a second."""
        if self._durable_seq < self._last_seq and self._sync_due():
            self.sync()

    def pending(self, *, alarms: bool, after_seq: int, limit: int, max_bytes: int) -> tuple[RawEntry, ...]:
        """Return what is on the disk and not acknowledged, in order, from one of the two lanes."""
        entries: list[RawEntry] = []
        size = 0
        with self._lock:
            for seq, payload in self._db.execute(_PENDING[alarms], (after_seq, self._durable_seq, limit)):
                size += len(payload)
                if entries and size > max_bytes:
                    break
                entries.append(RawEntry(seq, msgspec.Raw(payload)))
        return tuple(entries)

    def tombstones(self, *, limit: int) -> tuple[Tombstone, ...]:
        """Return what had to be given up and is not acknowledged, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT first_seq, min(last_seq, ?1), reason FROM tombstone WHERE first_seq <= ?1 ORDER BY 1 LIMIT ?2",
                (self._durable_seq, limit),
            ).fetchall()
        return tuple(Tombstone(first_seq=first, last_seq=last, reason=reason) for first, last, reason in rows)

    def acknowledge(self, ack: Ack) -> bool:
        """Forget what the hospital has stored.

        Returns:
            Whether it was about us: one of another epoch, or of numbers never sent, changes nothing.
        """
        settled = [(1, ack.watermark), *ack.ranges]
        if ack.epoch != self.epoch or max(last for _, last in settled) > self._durable_seq:
            return False
        with self._transaction(to_disk=False):
            for first, last in settled:
                self._forget(first, last)
                self._bury(first, last)
        return True

    def close(self) -> None:
        """Put everything on the disk and close."""
        with self._lock:
            self.sync()
            self._db.close()

    def _bury(self, first: int, last: int) -> None:
        """Forget the part of each tombstone that lies in ``first … last``."""
        rows = self._db.execute(
            "SELECT first_seq, last_seq, reason FROM tombstone WHERE first_seq <= ? AND last_seq >= ?", (last, first)
        ).fetchall()
        for begin, end, reason in rows:
            self._db.execute("DELETE FROM tombstone WHERE first_seq = ?", (begin,))
            for left in ((begin, first - 1), (last + 1, end)):
                if left[0] <= left[1]:
                    self._db.execute("INSERT INTO tombstone VALUES (?, ?, ?)", (*left, reason))

    def _forget(self, first: int, last: int) -> None:
        count, size = self._db.execute(
            "SELECT count(*), total(length(payload)) FROM observation WHERE seq BETWEEN ? AND ?", (first, last)
        ).fetchone()
        if count:
            self._db.execute("DELETE FROM observation WHERE seq BETWEEN ? AND ?", (first, last))
            self._rows, self._bytes = self._rows - count, self._bytes - int(size)

    def _make_room(self) -> None:
        """Give up the oldest routine observations until the rest fits; alarms only when nothing else is left."""
        while self._too_full():
            victims = (
                self._db.execute(_OLDEST[False], (_EVICTED_TOGETHER,)).fetchall()
                or self._db.execute(_OLDEST[True], (_EVICTED_TOGETHER,)).fetchall()
            )
            for (seq,) in victims:
                if self._too_full():
                    self._forget(seq, seq)
                    self._entomb(seq)

    def _too_full(self) -> bool:
        return self._rows > self._max_rows or self._bytes > self._max_bytes

    def _entomb(self, seq: int) -> None:
        joined = self._db.execute("UPDATE tombstone SET last_seq = ? WHERE last_seq = ?", (seq, seq - 1)).rowcount
        if not joined:
            self._db.execute("INSERT INTO tombstone VALUES (?, ?, ?)", (seq, seq, _EVICTED))

    def _sync_due(self) -> bool:
        return self._clock() - self._synced_at_s >= SYNC_INTERVAL_S

    def _one(self, query: str) -> Any:
        with self._lock:
            row = self._db.execute(query).fetchone()
        return row[0] if row else None

    @contextmanager
    def _transaction(self, *, to_disk: bool) -> Iterator[None]:
        with self._lock:
            before = self._last_seq, self._rows, self._bytes
            try:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if to_disk else 'NORMAL'}")
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException as error:
                self._last_seq, self._rows, self._bytes = before
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise cannot_use(self._path, error) from error
                raise
            if to_disk:
                self._durable_seq, self._synced_at_s = self._last_seq, self._clock()
