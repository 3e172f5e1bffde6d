from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from device_agents.config import load_config
from device_agents.gateway import Gateway, open_gateway
from edge_sdk import codes
from edge_sdk.observation import Classification, Observation
from tests.device.bundles import SignedBundle
from tests.device.gateways import GatewayFolder
from tests.system.processes import wait_until


@pytest.fixture
def another(tmp_path: Path, tiny_bundle: SignedBundle, troubled_record: Path) -> Callable[[str], GatewayFolder]:
    return lambda name: GatewayFolder.make(tmp_path / name, bundle=tiny_bundle, record=troubled_record)


def run(gateway: GatewayFolder, *, windows: int | None = None) -> None:
    """Process the recording to its end, or until so many windows are done."""
    with open_gateway(load_config(gateway.config)) as opened:
        if windows is not None:
            threading.Thread(target=stop_after, args=(opened, windows)).start()
        opened.run()


def stop_after(opened: Gateway, windows: int) -> None:
    wait_until(lambda: opened.status().windows >= windows, what="some windows")
    opened.stop()


def in_order(found: list[Observation]) -> list[bytes]:
    return sorted(map(msgspec.msgpack.encode, found))


@pytest.mark.parametrize("block_s", [0.05, 3.0, 60.0])
def test_the_same_recording_gives_the_same_observations_in_blocks_of_any_size(
    block_s: float, gateway: GatewayFolder, another: Callable[[str], GatewayFolder]
) -> None:
    other = another("other")
    other.change("speed = 0", f"speed = 0\nblock_s = {block_s}")

    run(gateway)
    run(other)

    assert in_order(other.observations()) == in_order(gateway.observations())


def test_the_same_recording_gives_the_same_observations_at_any_speed(
    gateway: GatewayFolder, another: Callable[[str], GatewayFolder]
) -> None:
    paced = another("paced")
    paced.change("speed = 0", "speed = 120")

    run(gateway)
    run(paced)

    assert paced.observations() == gateway.observations()


def test_an_agent_stopped_and_started_again_ends_with_what_one_never_stopped_has(
    gateway: GatewayFolder, another: Callable[[str], GatewayFolder]
) -> None:
    stopped = another("stopped")
    stopped.change("speed = 0", "speed = 15")
    run(gateway)

    run(stopped, windows=10)
    halfway = len(stopped.observations())
    stopped.change("speed = 15", "speed = 0")
    run(stopped)

    assert 0 < halfway < len(gateway.observations())
    assert stopped.observations() == gateway.observations()


def test_a_recording_already_processed_tells_nothing_new(gateway: GatewayFolder) -> None:
    run(gateway)
    first = gateway.observations()

    run(gateway)

    assert gateway.observations() == first


def test_another_patient_begins_anew(gateway: GatewayFolder) -> None:
    run(gateway)
    gateway.change("patient-1", "patient-2")

    run(gateway)

    by_subject = Counter(observation.subject for observation in gateway.observations())
    assert by_subject["patient-1"] == by_subject["patient-2"] > 0


def test_the_report_counts_what_is_in_the_outbox(gateway: GatewayFolder) -> None:
    result = gateway.told("run", "--report", gateway.folder / "report.json")

    report = msgspec.json.decode((gateway.folder / "report.json").read_bytes())
    found = gateway.observations()
    labels = Counter(item.value.label for item in found if isinstance(item.value, Classification))
    assert result.exit_code == 0
    assert report["observations"] == len(found)
    assert report["beats"] == labels
    assert report["windows"] == labels.total() + sum(report["rejected_windows"].values())
    assert report["samples"] == round(60.5 * 360)
    assert any(item.code == codes.SIGNAL_QUALITY for item in found)


def test_the_service_manager_is_told_that_the_agent_works_and_that_it_ends(
    gateway: GatewayFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        gateway.change("speed = 0", "speed = 120")

        assert gateway.told("run").exit_code == 0

        told = [manager.recv(100).decode()]
        while told[-1] != "STOPPING=1":
            told.append(manager.recv(100).decode())
    assert told[0] == "READY=1"
    assert set(told[1:-1]) == {"WATCHDOG=1"}
