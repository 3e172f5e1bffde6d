"""The hub's memory: SQLite or PostgreSQL, by URL."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite

from edge_sdk.errors import ConfigError, StorageUnavailable
from edge_sdk.messages import Batch, Status
from edge_sdk.observation import Classification, Observation, Quantity, SampledData
from edge_sdk.topics import DeviceTopics
from hospital_hub.tables import DEVICES, EPOCHS, OBSERVATIONS, QUARANTINE, TOMBSTONES, VALUE_COLUMNS
from hospital_hub.watermark import Arrived, as_ranges

Row = sa.RowMapping
EpochKey = tuple[str, str, str]


class Store:
    """What devices have sent. Safe to use from several threads.

    Args:
        url: SQLAlchemy's, e.g. ``sqlite:///hub.db`` or ``postgresql+psycopg://…``.

    Raises:
        ConfigError: Not a database URL.
        StorageUnavailable: It cannot be opened or migrated.
    """

    def __init__(self, url: str) -> None:
        self._engine = _open(url)
        self._arrived: dict[EpochKey, Arrived] = {}

    def ingest(self, batches: Sequence[tuple[DeviceTopics, Batch]]) -> dict[EpochKey, Arrived]:
        """Store batches in one transaction and return, after its commit, what has arrived of each epoch."""
        arrived: dict[EpochKey, Arrived] = {}
        now_ns = time.time_ns()
        with self._transaction() as db:
            for device, batch in batches:
                key = (device.site, device.device, batch.epoch)
                before = arrived.get(key) or self._known(db, key, batch)
                stored = _insert_observations(db, key, batch, now_ns)
                _insert_tombstones(db, key, batch)
                settled = as_ranges(entry.seq for entry in batch.entries)
                settled += [(item.first_seq, item.last_seq) for item in batch.tombstones]
                arrived[key] = before.add(settled)
                _update_epoch(db, key, arrived[key].watermark, refused=len(batch.entries) - stored)
        self._arrived |= arrived
        return arrived

    def quarantine(self, topic: str, payload: bytes, reason: str) -> None:
        """Set a message aside that nobody can read."""
        row = {"topic": topic, "payload": payload, "reason": reason, "received_at_ns": time.time_ns()}
        with self._transaction() as db:
            db.execute(sa.insert(QUARANTINE), row)

    def heard(self, device: DeviceTopics, status: Status) -> None:
        """Remember how a device says it is."""
        row = {
            "site": device.site,
            "device": device.device,
            "online": status.online,
            "status": msgspec.json.encode(status).decode(),
            "heard_at_ns": time.time_ns(),
        }
        with self._transaction() as db:
            insert = _upsert(db, DEVICES).values(row)
            changes = {name: row[name] for name in ("online", "status", "heard_at_ns")}
            db.execute(insert.on_conflict_do_update(index_elements=["site", "device"], set_=changes))

    def read(self, query: sa.Select[Any]) -> list[Row]:
        """Return a query's rows."""
        with self._transaction() as db:
            return list(db.execute(query).mappings())

    def stream(self, query: sa.Select[Any]) -> Iterator[Row]:
        """Yield a query's rows without holding all of them."""
        with self._transaction() as db:
            yield from db.execution_options(yield_per=1000).execute(query).mappings()

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _known(self, db: sa.Connection, key: EpochKey, batch: Batch) -> Arrived:
        """Return what is stored of an epoch; a new one starts below the device's floor."""
        if key in self._arrived:
            return self._arrived[key]
        of_epoch = _matches(EPOCHS, key)
        row = db.execute(sa.select(EPOCHS.c.watermark).where(*of_epoch)).first()
        if row is None:
            base = batch.floor - 1
            values = dict(zip(("site", "device", "epoch"), key, strict=True))
            db.execute(sa.insert(EPOCHS), {**values, "base": base, "watermark": base, "duplicates_refused": 0})
            return Arrived(base)
        above = sa.select(OBSERVATIONS.c.seq).where(*_matches(OBSERVATIONS, key), OBSERVATIONS.c.seq > row.watermark)
        buried = sa.select(TOMBSTONES.c.first_seq, TOMBSTONES.c.last_seq).where(*_matches(TOMBSTONES, key))
        ranges = [*as_ranges(db.execute(above).scalars()), *((first, last) for first, last in db.execute(buried))]
        return Arrived(row.watermark).add(ranges)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as db:
                yield db
        except sa.exc.DBAPIError as error:
            raise StorageUnavailable(f"the database failed ({error.orig})", remedy="check it and its disk") from error


def _open(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(parsed)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError, ValueError) as error:
        raise ConfigError(f"database {url!r} cannot be used ({error})", remedy="try sqlite:///hub.db") from error
    except OSError as error:
        raise StorageUnavailable(
            f"database {url} has no usable folder ({error.strerror})", remedy="check it"
        ) from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _tune_sqlite)
    try:
        _migrate(engine)
    except sa.exc.DBAPIError as error:
        raise StorageUnavailable(
            f"database {url} cannot be opened ({error.orig})", remedy="check its path, permissions and contents"
        ) from error
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # an acknowledgement must survive a power cut
    connection.execute("PRAGMA busy_timeout = 10000")


def _migrate(engine: sa.Engine) -> None:
    with resources.as_file(resources.files("hospital_hub") / "schema") as folder, engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _matches(of: sa.TableClause, key: EpochKey) -> tuple[sa.ColumnElement[bool], ...]:
    site, device, epoch = key
    return of.c.site == site, of.c.device == device, of.c.epoch == epoch


def _upsert(db: sa.Connection, into: sa.TableClause) -> Any:
    return (postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert)(into)


def _insert_observations(db: sa.Connection, key: EpochKey, batch: Batch, now_ns: int) -> int:
    """Insert what is new; return how many that were."""
    if not batch.entries:
        return 0
    rows = [as_row(key, entry.seq, entry.observation, now_ns) for entry in batch.entries]
    done = db.execute(_upsert(db, OBSERVATIONS).on_conflict_do_nothing(), rows)
    return max(0, done.rowcount)


def _insert_tombstones(db: sa.Connection, key: EpochKey, batch: Batch) -> None:
    rows = [
        {**dict(zip(("site", "device", "epoch"), key, strict=True)), **msgspec.structs.asdict(item)}
        for item in batch.tombstones
    ]
    if rows:
        db.execute(_upsert(db, TOMBSTONES).on_conflict_do_nothing(), rows)


def _update_epoch(db: sa.Connection, key: EpochKey, watermark: int, *, refused: int) -> None:
    changes = {"watermark": watermark, "duplicates_refused": EPOCHS.c.duplicates_refused + refused}
    db.execute(sa.update(EPOCHS).where(*_matches(EPOCHS, key)).values(changes))


def as_row(key: EpochKey, seq: int, item: Observation, now_ns: int) -> dict[str, Any]:
    """Return an observation as the columns of its table."""
    model = item.model
    return {
        **dict(zip(("site", "device", "epoch"), key, strict=True)),
        "seq": seq,
        "code_system": item.code.system,
        "code": item.code.code,
        "display": item.code.display,
        "effective_time_ns": item.effective_time_ns,
        "received_at_ns": now_ns,
        "stream": item.stream,
        "subject": item.subject,
        "clock": item.clock.value,
        "priority": item.priority.value,
        "quality": item.quality,
        **dict.fromkeys(VALUE_COLUMNS),
        **_value_columns(item),
        "absent_reason": item.absent_reason,
        "model_id": model and model.id,
        "model_version": model and model.version,
        "bundle_sha256": model and model.bundle_sha256,
        "runtime": model and model.runtime,
    }


def _value_columns(item: Observation) -> dict[str, Any]:
    value = item.value
    if isinstance(value, Quantity):
        return {"number": value.value, "unit": value.unit}
    if isinstance(value, Classification):
        return {"label": value.label, "probabilities": msgspec.json.encode(value.probabilities).decode()}
    if isinstance(value, SampledData):
        return {
            "samples": value.stored,
            "unit": value.unit,
            "sample_rate_hz": value.sample_rate_hz,
            "factor": value.factor,
            "anchor_s": value.anchor_s,
        }
    return {}
