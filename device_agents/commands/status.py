"""``edge-agent status``: how the agent of a configuration is."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from device_agents.config import load_config
from device_agents.status import in_words, look
from edge_sdk.errors import Unavailable


@click.command("status")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    required=True,
    help="Configuration of this gateway, TOML.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def status_command(config_path: Path, *, as_json: bool) -> None:
    """Say how the agent is: from itself where it runs, from what it stored where it does not."""
    status = look(load_config(config_path).state_dir)
    if as_json:
        click.echo(msgspec.json.encode(status))
    else:
        for name, value in in_words(status):
            click.echo(f"{name:<14} {value}")
    if not status.running:
        raise Unavailable("the agent does not run", remedy="start it: systemctl start edge-agent")
