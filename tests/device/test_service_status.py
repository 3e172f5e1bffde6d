from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from device_agents.commands.status import status_command
from device_agents.health import Health
from device_agents.health_socket import StatusSocket
from device_agents.metrics import Counted, Meter
from device_agents.outbox import Outbox
from device_agents.state_dir import StateDir
from device_agents.status import AgentStatus, in_words, look
from edge_sdk import codes
from edge_sdk.commands import EdgeCommand
from edge_sdk.errors import StorageUnavailable, Unavailable
from edge_sdk.observation import ModelRef, Observation, Priority, Quantity
from tests.device.gateways import GatewayFolder

MODEL = ModelRef(id="beats", version="1.2.3", bundle_sha256="ab" * 32, runtime="litert 2.3.0")


def observation(priority: Priority) -> Observation:
    return Observation(
        code=codes.HEART_RATE,
        value=Quantity(value=60.0, unit="/min"),
        effective_time_ns=1,
        stream="ecg",
        subject="p1",
        priority=priority,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder whose agent stored two observations and an alarm, and ended."""
    state = StateDir(tmp_path / "state")
    outbox = Outbox(state.outbox_path, max_rows=100, max_bytes=10_000_000)
    outbox.put_many([observation(Priority.ROUTINE), observation(Priority.ROUTINE), observation(Priority.ALARM)])
    outbox.close()
    state.close()
    (tmp_path / "state" / "outbox.db.damaged-1").touch()
    return tmp_path / "state"


def running(folder: Path) -> tuple[StateDir, Outbox, StatusSocket]:
    state = StateDir(folder)
    outbox = Outbox(state.outbox_path, max_rows=100, max_bytes=10_000_000)
    counted = Counted(
        streams=3, windows=40, rejected={"flat": 2}, backlog=outbox.backlog, connected=True, models=(MODEL,)
    )
    health = Health(resident_bytes=60 << 20, cpu_s=1.0, temperature_c=50.0, clock_synchronized=False)
    meter = Meter(lambda: counted, hardware="raspberry-pi-5", health=lambda: health)
    answers = StatusSocket(folder, lambda: msgspec.json.encode(meter.latest))
    answers.start()
    return state, outbox, answers


def test_an_agent_that_does_not_run_is_known_by_what_it_stored(folder: Path) -> None:
    before = sorted(folder.iterdir())

    status = look(folder)

    assert not status.running
    assert status.metrics is None
    assert (status.stored.observations, status.stored.alarms, status.stored.last_seq) == (3, 1, 3)
    assert status.stored.damaged == 1
    assert status.stored.outbox_bytes == (folder / "outbox.db").stat().st_size
    assert sorted(folder.iterdir()) == before, "asking must leave nothing behind that the agent could not open"


def test_an_agent_that_runs_speaks_for_itself(folder: Path) -> None:
    state, outbox, answers = running(folder)
    try:
        status = look(folder)
    finally:
        answers.stop()
        outbox.close()
        state.close()

    assert status.running
    assert status.metrics is not None
    assert status.metrics.counted.streams == 3
    assert status.stored.observations == 3
    told = [" ".join(words) for words in in_words(status)]
    for word in (
        "running",
        "beats 1.2.3 on litert",
        "3 open",
        "2 without an answer: flat",
        "not synchronized",
        "50 °C",
    ):
        assert any(word in line for line in told), word


def test_an_agent_that_is_only_starting_runs_but_has_nothing_to_say(folder: Path) -> None:
    state = StateDir(folder)
    status = look(folder)
    state.close()
    assert status.running
    assert status.metrics is None


def test_a_folder_that_no_agent_ever_had_is_no_error(tmp_path: Path) -> None:
    assert look(tmp_path / "nowhere") == look(tmp_path)
    assert dict(in_words(look(tmp_path)))["agent"] == "not running"


def test_an_outbox_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "outbox.db").write_bytes(b"no database, however long it is" * 100)
    with pytest.raises(StorageUnavailable, match=r"outbox\.db cannot be read"):
        look(folder)


def test_an_agent_of_another_version_is_told_apart(folder: Path) -> None:
    answers = StatusSocket(folder, lambda: b'{"odd": 1}')
    answers.start()
    with pytest.raises(StorageUnavailable, match="speaks another language"):
        look(folder)
    answers.stop()


def test_the_command_prints_json_that_reads_back_and_exits_as_services_do(gateway: GatewayFolder) -> None:
    group = EdgeCommand(commands=[status_command])

    done = CliRunner().invoke(group, ["status", "--config", str(gateway.config), "--json"])

    assert done.exit_code == Unavailable.exit_code
    status = msgspec.convert(json.loads(done.stdout.splitlines()[0]), AgentStatus)
    assert not status.running
    assert "start it" in done.stderr
    text = CliRunner().invoke(group, ["status", "--config", str(gateway.config)]).stdout
    assert text.startswith("agent")
