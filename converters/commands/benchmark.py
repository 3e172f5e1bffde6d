"""``edge-convert benchmark``: how long a bundle's model takes, measured on this machine or on a board over SSH."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sdk.bundle import open_bundle
from edge_sdk.errors import ConfigError
from edge_sdk.files import write_atomic
from edge_sdk.signing import load_public_key

if TYPE_CHECKING:
    from converters.benchmarking import Measurement
    from converters.probing.jobs import Machine

_PATH = click.Path(path_type=Path)
_COLUMNS = ("bundle", "threads", "median µs", "p95", "p99", "ratio", "load ms", "peak MiB")


@click.command("benchmark")
@click.argument("bundles", type=_PATH, nargs=-1, required=True)
@click.option("--trust", type=_PATH, required=True, multiple=True, help="signing.pub of a maker you trust.")
@click.option("--runs", type=click.IntRange(min=1), default=1000, show_default=True, help="Inferences to time.")
@click.option("--threads", type=click.IntRange(min=1), multiple=True, default=(1,), show_default=True)
@click.option("--ssh", help="Measure there: user@host, reached without a password.")
@click.option("--ssh-python", help="The Python there that has the runtime.  [default: python3]")
@click.option("--ssh-option", multiple=True, help="For 'ssh -o', e.g. Port=2222.")
@click.option("--json", "json_path", type=_PATH, help="The figures, JSON; '-' for standard output alone.")
def benchmark_command(  # noqa: PLR0913  # click gives each option an argument
    *,
    bundles: tuple[Path, ...],
    trust: tuple[Path, ...],
    runs: int,
    threads: tuple[int, ...],
    ssh: str | None,
    ssh_python: str | None,
    ssh_option: tuple[str, ...],
    json_path: Path | None,
) -> None:
    """Measure BUNDLES on the windows of their self-tests, one window at a time, each in a fresh process."""
    from converters.benchmarking import as_figures, benchmark  # noqa: PLC0415  # starts children; only here

    trusted = [load_public_key(path) for path in trust]
    opened = [open_bundle(path, trusted=trusted) for path in bundles]
    machine = _machine(ssh, ssh_python, ssh_option)
    measurements = [
        benchmark(bundle, machine, runs=runs, threads=count, now=datetime.now(timezone.utc))
        for bundle in opened
        for count in threads
    ]
    figures = json.dumps(as_figures(measurements), indent=2)
    if json_path == Path("-"):
        click.echo(figures)
        return
    if json_path:
        write_atomic(json_path, figures.encode() + b"\n")
    _show(measurements)


def _machine(ssh: str | None, python: str | None, options: tuple[str, ...]) -> Machine:
    from converters.probing.here import ThisMachine  # noqa: PLC0415
    from converters.probing.remote import RemoteMachine  # noqa: PLC0415

    if ssh:
        return RemoteMachine(destination=ssh, python=python or "python3", options=options)
    if python or options:
        raise ConfigError("--ssh-python and --ssh-option are for --ssh", remedy="name the board with --ssh user@host")
    return ThisMachine()


def _show(measurements: Sequence[Measurement]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from converters.benchmarking import place, ratios  # noqa: PLC0415

    table = Table(title=f"Time of one window, {measurements[0].runs} runs each")
    for column, name in enumerate(_COLUMNS):
        table.add_column(name, justify="right" if column else "left")
    for measurement, ratio in zip(measurements, ratios(measurements), strict=True):
        times = (measurement.median_us, measurement.p95_us, measurement.p99_us)
        table.add_row(
            f"{measurement.bundle} {measurement.recipe}",
            str(measurement.threads),
            *(f"{time:.1f}" for time in times),
            f"{ratio:.2f}",
            f"{measurement.load_ms:.1f}",
            f"{measurement.peak_memory_bytes / 2**20:.0f}",
        )
    Console().print(table)
    first = measurements[0]
    click.echo(f"measured {first.date} with {first.runtime} {first.runtime_version} on {place(first)}")
