"""``edge-agent bench``: how fast a bundle's model is on this machine, and how many streams it serves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
import msgspec

from device_agents.bench import Row, measure
from device_agents.bench_streams import Load, in_time, measured, most_streams
from device_agents.choose import Trial, affordable, best, machine, trial_windows, ways
from device_agents.model_store import genuine_bundle, loader, ready_model
from device_agents.runtimes.base import Way
from edge_sdk.files import write_atomic

_PATH = click.Path(path_type=Path)
_BATCHES = (1, 4, 16, 64)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured.

    Attributes:
        model: Which model.
        runtime: What runs it.
        machine: Where.
        rows: Every way of running it.
        chosen: The way that the agent would take.
        loads: What simulated streams cost.
    """

    model: str
    runtime: str
    machine: str
    rows: tuple[Row, ...]
    chosen: Way
    loads: tuple[Load, ...]


@click.command("bench")
@click.option("--bundle", type=_PATH, required=True, help="The bundle, .edge.")
@click.option("--trust", type=_PATH, required=True, multiple=True, help="signing.pub of a maker you trust.")
@click.option("--hardware", required=True, help="Slug of this board's hardware profile.")
@click.option("--threads", type=click.IntRange(1, 64), help="Only so many.  [default: 1, 2, 4 … up to all cores]")
@click.option(
    "--seconds", type=click.FloatRange(0, 60), default=0.5, show_default=True, help="For each way of running it."
)
@click.option("--streams", is_flag=True, help="Find out how many simulated streams are served in real time, too.")
@click.option("--json", "json_path", type=_PATH, help="The figures, JSON; '-' for standard output alone.")
def bench_command(  # noqa: PLR0913  # click gives each option an argument
    *,
    bundle: Path,
    trust: tuple[Path, ...],
    hardware: str,
    threads: int | None,
    seconds: float,
    streams: bool,
    json_path: Path | None,
) -> None:
    """Measure how long a model takes on this machine, by threads and by windows in one inference."""
    model = ready_model(bundle, trusted_keys=trust, hardware=hardware)
    opened = genuine_bundle(bundle, trusted_keys=trust)
    load = loader(opened, opened.manifest.artifact_for(hardware))
    (alone,) = measure(load, trial_windows(opened.self_test, 1), ways=[Way()], seconds=0)
    windows = affordable(alone.median_us, share_s=seconds)
    tried = ways(threads=threads, batches=[batch for batch in _BATCHES if batch <= windows])
    rows = measure(load, trial_windows(opened.self_test, windows), ways=tried, seconds=seconds)
    found = Figures(
        model=f"{model.ref.id} {model.ref.version}",
        runtime=model.ref.runtime,
        machine=machine(),
        rows=tuple(rows),
        chosen=best([Trial(way=row.way, window_us=row.median_us) for row in rows if not row.fault]),
        loads=tuple(most_streams(partial(measured, model))) if streams else (),
    )
    figures = msgspec.json.format(msgspec.json.encode(found))
    if json_path == Path("-"):
        click.echo(figures)
        return
    for line in _lines(found):
        click.echo(line)
    if json_path:
        write_atomic(json_path, figures + b"\n")


def _lines(found: Figures) -> Iterator[str]:
    yield f"{found.model} on {found.runtime}, {found.machine}"
    yield f"{'threads':>8} {'batch':>6} {'median us':>10} {'p99 us':>10} {'windows/s':>10}"
    for row in found.rows:
        place = f"{row.way.threads:>8} {row.way.batch:>6}"
        if row.fault:
            yield f"{place} not run so: {row.fault}"
        else:
            chosen = "  chosen" if row.way == found.chosen else ""
            yield f"{place} {row.median_us:>10.1f} {row.p99_us:>10.1f} {row.windows_per_s:>10.0f}{chosen}"
    for load in found.loads:
        late = "" if load.in_time else ", not in time"
        yield f"{load.streams:>8} streams take {load.cores:.2f} of a core, {load.longest_s * 1e3:.0f} ms at most{late}"
    if found.loads:
        yield f"serves {in_time(found.loads)} simulated streams in real time"
