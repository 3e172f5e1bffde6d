"""Running a command of ours on a terminal of its own, for tests."""

from __future__ import annotations

import click
from click.testing import CliRunner, Result

from edge_sdk.commands import EdgeCommand


def run(command: click.Command, *words: object) -> Result:
    """Return what a command says when a person types these words after it."""
    group = EdgeCommand("edge-convert", commands={str(command.name): command})
    return CliRunner().invoke(group, [str(command.name), *(str(word) for word in words)])
