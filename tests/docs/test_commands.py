from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from converters.__main__ import main as edge_convert
from device_agents.__main__ import main as edge_agent
from hospital_hub.__main__ import main as edge_hub

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
OURS: dict[str, click.Group] = {"edge-convert": edge_convert, "edge-agent": edge_agent, "edge-hub": edge_hub}
# Every documented command is run, in order, unless it begins like one of these; the options of ours are checked anyway.
NOT_RUN = {
    "make": "it runs this suite, or sets up an environment first",
    "git clone": "it needs the network",
    "git config": "it changes the reader's checkout",
    "sudo": "it changes the machine",
    "systemctl": "it changes the machine",
    "journalctl": "it needs the service that systemd runs",
    "apt-get": "it changes the machine",
    "pip install": "tests/system/test_device_install.py installs",
    "python3 -m pip install": "tests/system/test_device_install.py installs",
    "python3 -m venv": "tests/system/test_device_install.py installs",
    "/opt/edge/bin/pip": "tests/system/test_device_install.py installs",
    ".venv/bin/": "'make' makes that environment",
    "curl": "it needs a hub that runs; tests/hub asks the same",
    "edge-convert benchmark --ssh": "it needs a board; tests/conversion/test_benchmarking.py measures over SSH",
    "edge-hub": "a hub must have run; tests/hub and tests/system run these",
    "edge-agent": "it needs the configuration of its page; tests/device and tests/system run these",
}


def commands(page: Path) -> list[str]:
    """Return the commands in a page's blocks for a shell, each on one line; output that is shown with them is none."""
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL):
        if language not in {"", "sh", "console"}:
            continue
        lines = block.replace("\\\n", " ").splitlines()
        if language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        elif language == "":
            lines = [line for line in lines if line.startswith((*OURS, *NOT_RUN))]
        found += [" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")]
    return found


def programs(page: Path) -> list[str]:
    """Return the commands that run a page's Python, which may use what the commands before made.

    A block that the page introduces as a file's content ("In `name.py`:") becomes that file.
    """
    blocks = re.findall(r"(?:In `(\S+\.py)`:\s+)?^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [
        f"printf %s {shlex.quote(block)} > {name}" if name else f"python3 -W ignore -c {shlex.quote(block)}"
        for name, block in blocks
    ]


def is_run(command: str) -> bool:
    return not command.startswith(tuple(NOT_RUN))


def environment(folder: Path) -> dict[str, str]:
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_every_documented_command_that_can_be_run_here_works(tmp_path: Path) -> None:
    shell = environment(tmp_path)
    wanted = dict.fromkeys(
        command for page in PAGES for command in [*commands(page), *programs(page)] if is_run(command)
    )

    for command in wanted:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=shell, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert {"ecg_beats.edge", "report.html", "keys", "opened"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_documented_command_of_ours_has_its_options(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(command, comments=True)
        if words[0] not in OURS:
            continue
        group = OURS[words[0]]
        chosen = group.get_command(click.Context(group), words[1]) if len(words) > 1 else None
        parameters = (chosen or group).params
        known = {name for parameter in parameters for name in parameter.opts} | {"--help", "--version"}
        assert chosen or words[1].startswith("--"), f"no such command: {command}"
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, (
                target
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    tops = "edge_sdk|converters|device_agents|hospital_hub|hardware_profiles|examples|tests|docs|scripts|benchmarks"
    for name in re.findall(rf"`((?:{tops})/[\w./-]+)`", page.read_text()):
        placeholder = Path(name).stem.isupper()
        assert placeholder or (REPOSITORY / name).exists(), name
