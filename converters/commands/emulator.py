"""``edge-convert emulator``: an aarch64 CPU on this machine."""

from __future__ import annotations

from pathlib import Path

import click

_SOURCES = click.Path(path_type=Path)


@click.command("emulator")
@click.option("--apt-sources", type=_SOURCES, help="apt sources that have arm64, if this machine's have none.")
def emulator_command(apt_sources: Path | None) -> None:
    """Set up an emulated aarch64 CPU with the real Arm runtimes, for 'verify --emulate'. Kept for the next time."""
    from converters.emulation.setup import ready_emulator  # noqa: PLC0415  # only these commands emulate

    emulator = ready_emulator(sources=apt_sources, progress=lambda step: click.echo(f"fetching {step}", err=True))
    click.echo(f"{emulator.words}, Python {emulator.python}: {', '.join(emulator.machines)}")
    click.echo("made now, and kept" if emulator.was_made else "was there already")
    if "tflite-runtime" not in emulator.machines:
        click.echo(f"note: tflite-runtime has no wheel for Python {emulator.python}; LiteRT alone is run")
