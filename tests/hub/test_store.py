from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from edge_sdk.errors import ConfigError, StorageUnavailable
from edge_sdk.messages import Batch, Status, Tombstone
from edge_sdk.observation import Observation
from edge_sdk.topics import DeviceTopics
from hospital_hub.audit import audit
from hospital_hub.database import RowRefused
from hospital_hub.rows import as_row, sampled_data
from hospital_hub.store import Delivery, SetAside, Store
from hospital_hub.tables import OBSERVATION_COLUMNS, OBSERVATIONS, QUARANTINE, TALLIES
from hospital_hub.watermark import Arrived
from tests.fakes.device import EPOCH, alarm, beat, heart_rate, numbered, strip, unknown
from tests.hub.databases import KINDS, database

DEVICE = DeviceTopics("ward", "gateway-1")
KEY = (DEVICE.site, DEVICE.device, EPOCH)


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    # Not under pytest's folders, which only their owner may enter: PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="hub-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with database(request.param, Path(folder) / "db") as url:
            yield url


@pytest.fixture
def url(server: str) -> Iterator[str]:
    yield server
    engine = sa.create_engine(server)
    with engine.begin() as db:
        tables = sa.MetaData()
        tables.reflect(db)
        tables.drop_all(db)
    engine.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.close()


def batch(*observations: Observation, first: int = 1, floor: int = 1, graves: tuple[Tombstone, ...] = ()) -> Delivery:
    entries = tuple(numbered(*observations, first=first))
    return Delivery(batches=[(DEVICE, Batch(epoch=EPOCH, floor=floor, entries=entries, tombstones=graves))])


def test_every_kind_of_observation_comes_back_as_it_went_in(store: Store) -> None:
    sent = (beat("V"), heart_rate(61.5), strip(), unknown(), alarm())
    store.commit(batch(*sent))

    rows = store.read(sa.select(*OBSERVATIONS.c).order_by(OBSERVATIONS.c.seq))

    for seq, (row, observation) in enumerate(zip(rows, sent, strict=True), start=1):
        expected = as_row(KEY, seq, observation, row["received_at_ns"])
        assert {name: row[name] for name in OBSERVATION_COLUMNS} == expected
    assert sampled_data(rows[2]) == sent[2].value


def test_a_restarted_hub_knows_what_it_has(store: Store, url: str) -> None:
    store.commit(batch(beat(), first=1))
    store.commit(batch(beat(at_s=1), beat(at_s=2), first=4))
    store.close()

    again = Store(url)
    arrived = again.commit(batch(beat(at_s=3), first=2))
    again.close()

    assert arrived == {KEY: Arrived(2, ((4, 5),))}
    assert again.hub == store.hub


def test_what_came_twice_is_counted_once(store: Store) -> None:
    for _ in range(2):
        store.commit(batch(beat("N"), beat("V", at_s=1), heart_rate(60)))

    (epoch,) = audit(store)["epochs"]
    assert (epoch["stored"], epoch["duplicates_refused"], epoch["missing"]) == (3, 3, [])
    assert {row["label"]: row["n"] for row in store.read(sa.select(*TALLIES.c))} == {"N": 1, "V": 1}


def test_the_audit_finds_what_is_missing_without_a_word(store: Store) -> None:
    grave = Tombstone(first_seq=4, last_seq=5, reason="outbox full")
    store.commit(batch(beat(), first=1))
    store.commit(batch(beat(at_s=1), first=9, graves=(grave,)))

    (epoch,) = audit(store)["epochs"]
    assert epoch["missing"] == [(2, 3), (6, 8)]
    assert epoch["watermark"] == 1


def test_a_delivery_is_stored_whole_or_not_at_all(store: Store) -> None:
    store.commit(batch(beat()))
    nameless = SetAside(topic="t", payload=b"", reason=None)  # type: ignore[arg-type]
    whole = Delivery(batches=batch(beat(at_s=1), first=2).batches, set_aside=[nameless])

    with pytest.raises(RowRefused):
        store.commit(whole)

    assert [row["seq"] for row in store.read(sa.select(OBSERVATIONS.c.seq))] == [1]
    assert store.commit(batch(beat(at_s=1), first=2)) == {KEY: Arrived(2)}


def test_quarantine_keeps_a_message_once_however_often_it_comes(store: Store) -> None:
    item = SetAside(topic="edge/v1/ward/gateway-1/observations", payload=b"junk", reason="unreadable")
    for _ in range(3):
        store.commit(Delivery(set_aside=[item]))

    (kept,) = store.read(sa.select(*QUARANTINE.c))
    assert (bytes(kept["payload"]), kept["times"]) == (b"junk", 3)


def test_a_status_replaces_the_one_before(store: Store) -> None:
    for online in (True, False):
        store.commit(Delivery(statuses=[(DEVICE, Status(online=online))]))

    assert [row["online"] for row in store.read(sa.text("SELECT online FROM devices"))] == [False]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "hub.db").write_bytes(b"a letter to the editor " * 50)

    with pytest.raises(StorageUnavailable, match=r"hub\.db cannot be opened"):
        Store(f"sqlite:///{tmp_path / 'hub.db'}")


def test_a_database_that_a_newer_hub_wrote(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    Store(url).close()
    with sqlite3.connect(tmp_path / "hub.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()

    with pytest.raises(ConfigError, match="newer edge-hub"):
        Store(url)


@pytest.mark.parametrize("url", ["hub.db", "oracle://somewhere", "sqlite://one/two/three"])
def test_an_address_that_is_no_database(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=r"sqlite:///hub\.db"):
        Store(url)

    assert not list(tmp_path.iterdir())


def test_a_database_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        Store(f"postgresql+psycopg://hub@/hub?host={tmp_path}")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StorageUnavailable, match="folder"):
        Store(f"sqlite:///{tmp_path / 'file' / 'hub.db'}")
