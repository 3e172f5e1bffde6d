"""The hub's memory: what devices have sent, each observation once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from edge_sdk.files import sha256_hex
from edge_sdk.messages import Batch, Status
from edge_sdk.topics import DeviceTopics
from hospital_hub.database import Database
from hospital_hub.rows import EPOCH_KEY, EpochKey, Row, as_row
from hospital_hub.tables import DEVICES, EPOCHS, IDENTITY, OBSERVATIONS, QUARANTINE, TALLIES, TOMBSTONES
from hospital_hub.watermark import Arrived, as_ranges

_DIGEST = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAside:
    """Something that nobody here can read, and why."""

    topic: str
    payload: bytes
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Messages that are stored in one commit."""

    batches: Sequence[tuple[DeviceTopics, Batch]] = ()
    statuses: Sequence[tuple[DeviceTopics, Status]] = ()
    set_aside: Sequence[SetAside] = ()


class Store:
    """What devices have sent. Safe to use from several threads; one program at a time may write.

    Args:
        url: SQLAlchemy's, e.g. ``sqlite:///hub.db`` or ``postgresql+psycopg://…``.

    Attributes:
        hub: Name of this database among all, for ever.

    Raises:
        ConfigError: Not a database URL, or a schema newer than this program.
        StorageUnavailable: It cannot be opened or migrated.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._arrived: dict[EpochKey, Arrived] = {}
        self.hub: str = self.read(sa.select(IDENTITY.c.hub))[0]["hub"]

    def commit(self, delivery: Delivery) -> dict[EpochKey, Arrived]:
        """Store messages in one transaction and return, after its commit, what has arrived of each epoch.

        Raises:
            RowRefused: The database will never take one of them.
            StorageUnavailable: It cannot work now.
        """
        arrived: dict[EpochKey, Arrived] = {}
        now_ns = time.time_ns()
        with self._database.writing() as db:
            for device, batch in delivery.batches:
                key = (device.site, device.device, batch.epoch)
                before = arrived.get(key) or self._known(db, key, batch)
                arrived[key] = _store_batch(db, key, batch, before, now_ns)
            for device, status in delivery.statuses:
                _store_status(db, device, status, now_ns)
            for item in delivery.set_aside:
                _store_set_aside(db, item, now_ns)
        self._arrived |= arrived
        return arrived

    def read(self, query: sa.Executable) -> list[Row]:
        """Return a query's rows."""
        with self._database.reading() as db:
            return list(db.execute(query).mappings())

    def stream(self, query: sa.Executable) -> Iterator[Row]:
        """Yield a query's rows without holding all of them."""
        with self._database.reading() as db:
            yield from db.execution_options(yield_per=1000).execute(query).mappings()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _known(self, db: sa.Connection, key: EpochKey, batch: Batch) -> Arrived:
        """Return what is stored of an epoch; a new one starts below the device's floor."""
        if key in self._arrived:
            return self._arrived[key]
        row = db.execute(sa.select(EPOCHS.c.watermark).where(*of_epoch(EPOCHS, key))).first()
        if row is None:
            base = batch.floor - 1
            facts = {"digest": epoch_digest(key), "base": base, "watermark": base}
            db.execute(sa.insert(EPOCHS), {**_named(key), **facts, "duplicates_refused": 0, "heard_at_ns": 0})
            return Arrived(base)
        above = sa.select(OBSERVATIONS.c.seq).where(*of_epoch(OBSERVATIONS, key), OBSERVATIONS.c.seq > row.watermark)
        buried = sa.select(TOMBSTONES.c.first_seq, TOMBSTONES.c.last_seq).where(*of_epoch(TOMBSTONES, key))
        ranges = [*as_ranges(db.execute(above).scalars()), *((first, last) for first, last in db.execute(buried))]
        return Arrived(row.watermark).add(ranges)


def of_epoch(of: sa.TableClause, key: EpochKey) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition that a row is of this epoch."""
    return tuple(of.c[name] == part for name, part in zip(EPOCH_KEY, key, strict=True))


def epoch_digest(key: EpochKey) -> str:
    """Return a name for an epoch that is short, and the same everywhere and always."""
    return sha256_hex("/".join(key).encode())[:_DIGEST]


def _named(key: EpochKey) -> dict[str, str]:
    return dict(zip(EPOCH_KEY, key, strict=True))


def _upsert(db: sa.Connection, into: sa.TableClause) -> Any:
    return (postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert)(into)


def _store_batch(db: sa.Connection, key: EpochKey, batch: Batch, before: Arrived, now_ns: int) -> Arrived:
    stored = _insert_observations(db, key, batch, now_ns)
    _insert_tombstones(db, key, batch)
    settled = as_ranges(entry.seq for entry in batch.entries)
    settled += [(item.first_seq, item.last_seq) for item in batch.tombstones]
    # The device sends nothing below its floor again, though a database restored from a backup may lack some of it.
    after = before.add([(0, batch.floor - 1), *settled])
    changes = {
        "watermark": after.watermark,
        "duplicates_refused": EPOCHS.c.duplicates_refused + len(batch.entries) - stored,
        "heard_at_ns": now_ns,
    }
    db.execute(sa.update(EPOCHS).where(*of_epoch(EPOCHS, key)).values(changes))
    return after


def _insert_observations(db: sa.Connection, key: EpochKey, batch: Batch, now_ns: int) -> int:
    """Insert what is new, tally its labels, and return how many were new."""
    if not batch.entries:
        return 0
    rows = [as_row(key, entry.seq, entry.observation, now_ns) for entry in batch.entries]
    insert = _upsert(db, OBSERVATIONS).on_conflict_do_nothing().returning(OBSERVATIONS.c.code, OBSERVATIONS.c.label)
    new = [(code, label) for code, label in db.execute(insert, rows)]
    for (code, label), n in Counter(item for item in new if item[1] is not None).items():
        tally = _upsert(db, TALLIES).values({**_named(key), "code": code, "label": label, "n": n})
        more = {"n": TALLIES.c.n + n}
        db.execute(tally.on_conflict_do_update(index_elements=[*EPOCH_KEY, "code", "label"], set_=more))
    return len(new)


def _insert_tombstones(db: sa.Connection, key: EpochKey, batch: Batch) -> None:
    rows = [{**_named(key), **msgspec.structs.asdict(item)} for item in batch.tombstones]
    if rows:
        db.execute(_upsert(db, TOMBSTONES).on_conflict_do_nothing(), rows)


def _store_status(db: sa.Connection, device: DeviceTopics, status: Status, now_ns: int) -> None:
    facts = {"online": status.online, "status": msgspec.json.encode(status).decode(), "heard_at_ns": now_ns}
    insert = _upsert(db, DEVICES).values({"site": device.site, "device": device.device, **facts})
    db.execute(insert.on_conflict_do_update(index_elements=["site", "device"], set_=facts))


def _store_set_aside(db: sa.Connection, item: SetAside, now_ns: int) -> None:
    """Keep it once, however often it is sent again."""
    facts = {"topic": item.topic, "sha256": sha256_hex(item.payload), "payload": item.payload, "reason": item.reason}
    insert = _upsert(db, QUARANTINE).values({**facts, "times": 1, "first_at_ns": now_ns, "last_at_ns": now_ns})
    again = {"times": QUARANTINE.c.times + 1, "last_at_ns": now_ns}
    db.execute(insert.on_conflict_do_update(index_elements=["topic", "sha256"], set_=again))
