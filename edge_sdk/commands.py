"""How every command of ours speaks: errors are one line with the remedy, and an exit code by whose fault it is."""

from __future__ import annotations

import sys
from typing import Any

import click

from edge_sdk.errors import EdgeError


class EdgeCommand(click.Group):
    """A click group that prints an `EdgeError` as one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command; exit with the error's code when it fails."""
        try:
            return super().invoke(ctx)
        except EdgeError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
