from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from device_agents.__main__ import main
from edge_sdk.errors import EdgeError, InvalidInput, MissingDependency, Unavailable

FOLDER = Path(__file__).parent.parent.parent / "packaging" / "systemd"
UNIT = FOLDER / "edge-agent.service"
DROP_INS = sorted(FOLDER.glob("edge-agent-*.conf"))
# systemd's own scale, times ten: a service that is exposed by no more than this is "OK" to it.
MOST_EXPOSED = 20


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as installed, with a program that is here."""
    text = UNIT.read_text()
    (begins,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    path = tmp_path / UNIT.name
    path.write_text(text.replace(begins, "ExecStart=/bin/true"))
    return path


def settings() -> configparser.SectionProxy:
    reader = configparser.RawConfigParser(strict=False)
    reader.optionxform = str  # type: ignore[assignment,method-assign]
    reader.read(UNIT)
    return reader["Service"]


def test_systemd_understands_every_line_of_the_unit(analyze: str, unit: Path) -> None:
    done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda path: path.stem)
def test_systemd_understands_every_line_that_a_board_adds(analyze: str, unit: Path, drop_in: Path) -> None:
    beside = unit.with_name(f"{unit.name}.d")
    beside.mkdir()
    shutil.copy(drop_in, beside)
    done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_is_exposed_as_little_as_systemd_asks_of_a_network_service(analyze: str, unit: Path) -> None:
    words = [analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", unit]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_unit_starts_a_command_that_there_is() -> None:
    program, command, *words = shlex.split(settings()["ExecStart"])
    assert Path(program).name == "edge-agent"
    chosen = main.get_command(click.Context(main), command)
    assert chosen is not None
    known = {name for parameter in chosen.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_what_cannot_help_is_not_tried_again_and_everything_else_is() -> None:
    service = settings()
    prevented = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert service["Restart"] == "always"
    assert prevented == {InvalidInput.exit_code, MissingDependency.exit_code}
    assert not prevented & {EdgeError.exit_code, Unavailable.exit_code, 0}


def test_the_service_has_no_capability_and_is_watched() -> None:
    service = settings()
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == ""
    assert service["Type"] == "notify"
    assert service["WatchdogSec"].rstrip("s").isdigit()
    assert service["ProtectSystem"] == "strict"
    assert service["User"] not in {"", "root"}
