"""The commands in the READMEs of the examples, and what each printed: ``python -m tests.conversion.readmes`` runs them.

It writes what they print now into the READMEs. `test_clinical_examples` runs them, too, and compares. All is run in one
process, since every command would load TensorFlow anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import click

from converters.__main__ import main as edge_convert
from converters.commands.convert import convert_command
from converters.jobs import Job
from converters.line import run_line
from device_agents.__main__ import main as edge_agent

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLINICAL = tuple(EXAMPLES / name / "README.md" for name in ("blood_pressure", "heart_disease"))
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Documented:
    """One command, as a README has it, with the output that it shows; empty if it shows none."""

    text: str
    output: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text.removeprefix("$ ").replace("\\\n", " "))


def commands(block: str) -> Iterator[Documented]:
    """The commands of a block; a line that ends with a backslash goes on."""
    for part in re.split(r"^(?=\$ )", block, flags=re.MULTILINE):
        if part:
            text = re.match(r"\$ (?:[^\n]*\\\n)*[^\n]*\n", part)
            assert text
            yield Documented(text.group(), part[text.end() :])


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder with the examples in it, to run commands in."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        Path("examples").symlink_to(EXAMPLES)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def run(words: list[str]) -> str:
    """Run a command here; return what it prints, but for making keys and a conversion, whose tables are for people."""
    if words[:2] == ["edge-convert", "convert"]:
        _convert(words[2:])
        return ""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        if words[0] == "python":
            with patch.object(sys, "argv", words[1:]), contextlib.suppress(SystemExit):
                runpy.run_path(words[1], run_name="__main__")
        else:
            group: click.Group = {"edge-convert": edge_convert, "edge-agent": edge_agent}[words[0]]
            group.main(words[1:], standalone_mode=False)
    return "" if "keygen" in words else said.getvalue()


def _convert(words: list[str]) -> None:
    options = convert_command.make_context("convert", words).params
    options.pop("json_path")
    with tempfile.TemporaryDirectory() as folder:
        run_line(Job(**options), Path(folder), lambda _step, _done: None)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for page in CLINICAL:
        with workplace():

            def again(block: re.Match[str]) -> str:
                found = commands(block.group())
                return "".join(f"{one.text}{run(one.words)}" for one in found)

            page.write_text(BLOCK.sub(again, page.read_text()))
