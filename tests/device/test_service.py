from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device_agents.service import Heartbeat, Notifier, notifier, watchdog_s

Heard = Callable[[], list[str]]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Heard]]:
    """A service manager's socket: its address as the environment says it, and what it has heard."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@edge-agent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1))
        listener.setblocking(False)

        def heard() -> list[str]:
            found = []
            while True:
                try:
                    found.append(listener.recv(4096).decode())
                except BlockingIOError:
                    return found

        yield address, heard


def test_the_service_manager_hears_how_the_agent_is(manager: tuple[str, Heard]) -> None:
    address, heard = manager
    told = notifier({"NOTIFY_SOCKET": address})
    told.ready()
    told.status("3 streams\nREADY=1")
    told.reloading()
    told.stopping()
    ready, status, reloading, stopping = heard()
    assert ready == "READY=1"
    assert status == "STATUS=3 streams READY=1"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert stopping == "STOPPING=1"


def test_without_a_service_manager_nothing_is_told_and_nothing_fails() -> None:
    notifier({}).ready()


def test_a_service_manager_that_has_gone_does_not_stop_the_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Notifier(str(tmp_path / "gone")).alive()
    assert "the service manager cannot be told" in caplog.text


def test_the_watchdog_hears_of_turns_of_the_loop_and_of_nothing_else(manager: tuple[str, Heard]) -> None:
    address, heard = manager
    now_s = [0.0]
    heart = Heartbeat(Notifier(address), interval_s=30.0, clock=lambda: now_s[0])
    told_s = []
    for turn in range(1, 1000):
        now_s[0] = turn * 0.1
        heart.beat()
        told_s += [now_s[0]] * len(heard())

    assert told_s
    assert max(after - before for before, after in zip([0.0, *told_s], told_s, strict=False)) < 30.0 / 2
    assert len(told_s) < 1000 / 10

    now_s[0] += 1000.0  # the loop hangs
    assert heard() == []
    assert heart.age_s == pytest.approx(1000.0)


def test_where_no_watchdog_is_wanted_none_is_told(manager: tuple[str, Heard]) -> None:
    address, heard = manager
    now_s = [0.0]
    heart = Heartbeat(Notifier(address), interval_s=0.0, clock=lambda: now_s[0])
    now_s[0] = 1e6
    heart.beat()
    assert heard() == []
    assert heart.age_s == 0.0


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdogs_interval_counts_only_when_it_is_meant_for_this_process(
    environment: dict[str, str], seconds: float
) -> None:
    assert watchdog_s(environment, pid=7) == seconds
