"""The command ``edge-convert``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from converters.optimizers.recipe import load_recipe, recipe_names
from converters.pipeline import STEPS, Conversion, Job, as_figures, convert
from edge_sdk import __version__
from edge_sdk.bundle import open_bundle
from edge_sdk.commands import EdgeCommand
from edge_sdk.files import write_atomic
from edge_sdk.manifest import encode_manifest
from edge_sdk.profiles import load_profile, profile_slugs
from edge_sdk.signing import generate_keys, load_public_key

_PATH = click.Path(path_type=Path)


@click.group(cls=EdgeCommand)
@click.version_option(__version__)
def main() -> None:
    """Turn a trained model into a verified, signed bundle for a board."""


@main.command()
@click.option("--out", type=_PATH, required=True, help="Folder for signing.key and signing.pub.")
def keygen(out: Path) -> None:
    """Make a key pair: keep signing.key secret, give signing.pub to the devices."""
    private, public = generate_keys(out)
    click.echo(f"{private} (keep it secret)\n{public} (for the devices' trusted_keys)")


@main.command("convert")
@click.argument("model", type=_PATH)
@click.option("--contract", type=_PATH, required=True, help="What the model reads and means, TOML.")
@click.option("--target", required=True, help="Hardware profile; see 'edge-convert targets'.")
@click.option("--recipe", default="int8", show_default=True, help="See 'edge-convert recipes'.")
@click.option("--calibration", type=_PATH, help="Real windows for activation ranges, .npz.")
@click.option("--evaluation", type=_PATH, required=True, help="Held-out labelled windows, .npz.")
@click.option("--budget-points", type=float, default=0.5, show_default=True, help="Loss allowed in any class.")
@click.option("--key", type=_PATH, required=True, help="signing.key that seals the bundle.")
@click.option("--out", type=_PATH, required=True, help="The bundle, .edge.")
@click.option("--report", type=_PATH, help="HTML report with pictures.")
@click.option("--json", "json_path", type=_PATH, help="The figures, JSON.")
def convert_command(json_path: Path | None, **options: Any) -> None:
    """Convert MODEL, prove it on real windows, and seal it. Nothing is written unless the budget is kept."""
    conversion = _with_progress(Job(**options))
    if json_path:
        write_atomic(json_path, json.dumps(as_figures(conversion), indent=2).encode() + b"\n")
    _show(conversion)


@main.command()
@click.argument("bundle", type=_PATH)
@click.option("--trust", type=_PATH, required=True, multiple=True, help="signing.pub of a maker you trust.")
def inspect(bundle: Path, trust: tuple[Path, ...]) -> None:
    """Verify BUNDLE and show what it says about itself."""
    opened = open_bundle(bundle, trusted=[load_public_key(path) for path in trust])
    click.echo(encode_manifest(opened.manifest).decode(), nl=False)


@main.command()
def targets() -> None:
    """List the boards."""
    for slug in profile_slugs():
        profile = load_profile(slug)
        click.echo(f"{slug:24} {profile.runtime.backend:9} {profile.name}")


@main.command()
def recipes() -> None:
    """List the recipes."""
    for name in recipe_names():
        click.echo(f"{name:14} {load_recipe(name).summary}")


def _with_progress(job: Job) -> Conversion:
    from rich.console import Console  # noqa: PLC0415  # only this command shows progress
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("start", total=len(STEPS))
        return convert(job, progress=lambda step: bars.update(task, advance=1, description=step))


def _show(conversion: Conversion) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    report = conversion.manifest.verification
    table = Table(title=f"{conversion.bundle}  {conversion.model_bytes / 1024:.1f} KiB model, {report.windows} windows")
    for column in ("class", "windows", "Se float", "Se compiled", "+P float", "+P compiled"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for figures in report.classes:
        shares = (
            figures.sensitivity_float,
            figures.sensitivity_compiled,
            figures.ppv_float,
            figures.ppv_compiled,
        )
        table.add_row(figures.label, str(figures.windows), *(f"{share:.2%}" for share in shares))
    Console().print(table)
    click.echo(f"{report.agreement:.2%} of decisions agree with the float model")


if __name__ == "__main__":
    main()
