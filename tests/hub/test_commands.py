from __future__ import annotations

import csv
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sdk.messages import Batch, Tombstone
from edge_sdk.topics import DeviceTopics
from hospital_hub.store import Delivery, Store
from tests.fakes.device import EPOCH, beat, heart_rate, numbered, strip
from tests.system.processes import BIN, Hub

DEVICES = ("gateway-1", "gateway-2")


def edge_hub(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [BIN / "edge-hub", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=folder)


def filled(folder: Path, *, first: int = 1, graves: tuple[Tombstone, ...] = ()) -> str:
    """Return the URL of a database in which two devices have stored three observations each."""
    url = f"sqlite:///{folder / 'hub.db'}"
    store = Store(url)
    entries = (*numbered(beat()), *numbered(heart_rate(60, at_s=1), strip(at_s=2), first=first + 1))
    batch = Batch(epoch=EPOCH, floor=1, entries=entries, tombstones=graves)
    store.commit(Delivery(batches=[(DeviceTopics("ward", name), batch) for name in DEVICES]))
    store.close()
    return url


def assert_one_line(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode > 1, done
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for words in expected:
        assert words in lines[0]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["csv", "ndjson", "fhir"])
def test_an_export_holds_every_observation(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "deep" / "observations"

    done = edge_hub("export", "--database", filled(tmp_path), "--format", kind, "--out", out, folder=tmp_path)

    lines = out.read_text().splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == 6 + (kind == "csv")
    assert "6 observations" in done.stdout
    assert list(out.parent.iterdir()) == [out]


def test_an_export_of_one_device_and_code(tmp_path: Path) -> None:
    out = tmp_path / "rates.csv"
    choice = ("--device", "ward/gateway-2", "--code", "8867-4")

    edge_hub("export", "--database", filled(tmp_path), "--format", "csv", *choice, "--out", out, folder=tmp_path)

    (row,) = csv.DictReader(out.read_text().splitlines())
    assert (row["device"], row["number"], row["unit"]) == ("gateway-2", "60.0", "/min")


def test_an_unknown_export_format(tmp_path: Path) -> None:
    done = edge_hub(
        "export", "--database", filled(tmp_path), "--format", "xml", "--out", tmp_path / "out", folder=tmp_path
    )

    assert_one_line(done, "xml", "csv", "ndjson", "fhir")
    assert not (tmp_path / "out").exists()


def test_an_export_to_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    database = filled(tmp_path)

    done = edge_hub("export", "--database", database, "--out", tmp_path / "file" / "out", folder=tmp_path)

    assert_one_line(done, "cannot be written")


@pytest.mark.parametrize("words", [("export", "--out", "out.csv"), ("audit",)])
def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = edge_hub(*words, "--database", f"sqlite:///{tmp_path}/none.db", folder=tmp_path)

    assert_one_line(done, "none.db does not exist")
    assert list(tmp_path.iterdir()) == []


def test_the_audit_of_a_whole_store_succeeds(tmp_path: Path) -> None:
    done = edge_hub("audit", "--database", filled(tmp_path), "--json", tmp_path / "audit.json", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "audit.json").read_text())
    assert [(epoch["device"], epoch["stored"]) for epoch in report["epochs"]] == [(name, 3) for name in DEVICES]


def test_the_audit_fails_when_something_is_missing(tmp_path: Path) -> None:
    done = edge_hub("audit", "--database", filled(tmp_path, first=5), folder=tmp_path)

    assert done.returncode == 1
    assert "missing [(2, 5)]" in done.stdout


def test_the_audit_accepts_what_was_given_up_openly(tmp_path: Path) -> None:
    grave = Tombstone(first_seq=2, last_seq=5, reason="outbox full")

    done = edge_hub("audit", "--database", filled(tmp_path, first=5, graves=(grave,)), folder=tmp_path)

    assert done.returncode == 0
    assert "missing []" in done.stdout


def test_a_web_port_that_is_taken(tmp_path: Path, taken_port: int) -> None:
    done = edge_hub("serve", "--listen", f"127.0.0.1:{taken_port}", folder=tmp_path)

    assert_one_line(done, f"127.0.0.1:{taken_port} cannot be listened on", "another port")
    assert list(tmp_path.iterdir()) == []


def test_a_broker_port_that_is_taken(tmp_path: Path, taken_port: int) -> None:
    done = edge_hub("serve", "--listen", "127.0.0.1:0", "--broker-listen", f"127.0.0.1:{taken_port}", folder=tmp_path)

    assert_one_line(done, f"127.0.0.1:{taken_port} cannot be listened on", "another port")


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    done = edge_hub("serve", "--listen", "127.0.0.1:0", "--broker", "mqtt://127.0.0.1:1", folder=tmp_path)

    assert_one_line(done, "mqtt://127.0.0.1:1 is not reachable", "start it")


@pytest.mark.parametrize("broker", ["127.0.0.1:1883", "http://broker", "mqtt://:1883", "mqtt://host:port"])
def test_an_address_that_is_no_brokers(tmp_path: Path, broker: str) -> None:
    done = edge_hub("serve", "--listen", "127.0.0.1:0", "--broker", broker, folder=tmp_path)

    assert_one_line(done, broker, "mqtt://host:1883")


def test_a_wrong_key_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('databse = "sqlite:///hub.db"\n')

    done = edge_hub("serve", "--config", "hub.toml", folder=tmp_path)

    assert_one_line(done, "hub.toml", "databse", "database")


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    assert_one_line(edge_hub("serve", "--config", "hub.toml", folder=tmp_path), "hub.toml")


def test_a_listening_address_that_makes_no_sense(tmp_path: Path) -> None:
    assert_one_line(edge_hub("serve", "--listen", "everywhere", folder=tmp_path), "everywhere", "127.0.0.1:8080")


def test_a_hub_that_is_told_to_stop_ends_well_and_soon(tmp_path: Path) -> None:
    hub = Hub(folder=tmp_path, broker="embedded")
    hub.start()
    assert hub.process is not None

    hub.process.terminate()

    assert hub.process.wait(timeout=20) == 0
    assert "Traceback" not in hub.log.read_text()
