"""``edge-convert coral-check``: what of a model would run on the Edge TPU, before anything is compiled."""

from __future__ import annotations

from pathlib import Path

import click

from edge_sdk.errors import ProfileError
from edge_sdk.profiles import load_profile


@click.command("coral-check")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--profile", "slug", default="coral-usb-on-pi-4b", show_default=True, help="A board with an Edge TPU.")
def coral_check_command(model: Path, slug: str) -> None:
    """Forecast where each operator of MODEL, a .tflite file, runs, why, and what to change."""
    from converters.compilers.coral.show import show_forecast  # noqa: PLC0415  # only this command needs it

    profile = load_profile(slug)
    if profile.accelerator is None or profile.accelerator.kind != "edgetpu":
        raise ProfileError(f"{profile.name} has no Edge TPU", remedy="choose a board that has one")
    show_forecast(model, memory_bytes=profile.accelerator.memory_bytes)
