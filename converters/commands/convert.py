"""``edge-convert convert``: a model in, a proved and signed bundle for each board out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from converters.jobs import AUTO, Conversion, Job, Progress, Trial, as_figures
from converters.pipeline import convert
from edge_sdk.files import write_atomic
from edge_sdk.manifest import Manifest, VerificationReport

_PATH = click.Path(path_type=Path)


@click.command("convert")
@click.argument("model", type=_PATH)
@click.option("--contract", type=_PATH, required=True, help="What the model reads and means, TOML.")
@click.option(
    "--profile", "--target", "profiles", required=True, multiple=True, help="A board; see 'edge-convert profiles'."
)
@click.option("--recipe", default="int8", show_default=True, help=f"See 'edge-convert recipes'; '{AUTO}' measures.")
@click.option("--calibration", help="Real windows for activation ranges.")
@click.option("--evaluation", required=True, help="Held-out labelled windows.")
@click.option("--training", help="Windows for recipes that train the model again.")
@click.option("--probabilities", help="Held-out labelled windows to make probabilities honest with.")
@click.option(
    "--budget-points",
    type=click.FloatRange(0, 100),
    default=0.5,
    show_default=True,
    help="Loss allowed in any figure, percentage points.",
)
@click.option("--key", type=_PATH, required=True, help="signing.key that seals the bundle.")
@click.option("--out", type=_PATH, required=True, help="The bundle, .edge; a folder for several boards.")
@click.option("--report", type=_PATH, help="HTML report with pictures.")
@click.option("--json", "json_path", type=_PATH, help="The figures, JSON.")
@click.option("--edgetpu-compiler", type=_PATH, help="Google's compiler, if it is not on PATH.")
def convert_command(json_path: Path | None, profiles: tuple[str, ...], **options: Any) -> None:
    """Convert MODEL, prove it on real windows, and seal it. Nothing is written unless the budget is kept.

    Windows come from an .npz or .csv file, a folder of WFDB records, or a function, as module:function.
    """
    conversion = convert_with_progress(Job(profiles=profiles, **options))
    if json_path:
        write_atomic(json_path, json.dumps(as_figures(conversion), indent=2).encode() + b"\n")
    show(conversion)


def convert_with_progress(job: Job) -> Conversion:
    """Run a job with a bar on the terminal."""
    from rich.console import Console  # noqa: PLC0415  # only commands that wait show progress
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("start", total=1.0)
        tell: Progress = lambda step, done: bars.update(task, completed=done, description=step)  # noqa: E731
        return convert(job, progress=tell)


def show(conversion: Conversion) -> None:
    """Print what came out."""
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    for sealed in conversion.bundles:
        trials = [trial for trial in conversion.trials if trial.profile == sealed.profile]
        if trials:
            console.print(_trials_table(trials))
        size = f"{sealed.model_bytes / 1024:.1f} KiB model, {sealed.manifest.verification.windows} windows"
        console.print(figures_table(sealed.manifest, title=f"{sealed.path}  {sealed.manifest.recipe}, {size}"))
        click.echo(verdict(sealed.manifest.verification))
    for remark in conversion.remarks:
        click.echo(f"note: {remark}")


def _trials_table(trials: Sequence[Trial]) -> Any:
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from converters.search import pareto  # noqa: PLC0415

    best = [trial.recipe for trial in pareto(trials)]
    table = Table(title=f"What was tried for {trials[0].profile} (times of this machine, one thread)")
    for column in ("recipe", "KiB", "µs", "as float", "largest loss", "outcome"):
        table.add_column(column, justify="left" if column in {"recipe", "outcome"} else "right")
    for trial in trials:
        measured = trial.model_bytes > 0
        table.add_row(
            f"{trial.recipe}{' *' if trial.recipe in best else ''}",
            f"{trial.model_bytes / 1024:.1f}" if measured else "",
            f"{trial.latency_us:.1f}" if trial.latency_us else "",
            f"{trial.agreement:.2%}" if measured else "",
            f"{trial.lost_points:.2f} points" if measured else "",
            "chosen" if trial.chosen else escape(f"{trial.outcome}: {trial.reason}" if trial.reason else trial.outcome),
        )
    table.caption = "* no other is at once as small, as fast and as true"
    return table


def figures_table(manifest: Manifest, *, title: str) -> Any:
    """Return a table of every class or quantity, float against compiled."""
    from rich.table import Table  # noqa: PLC0415

    report = manifest.verification
    table = Table(title=title)
    names = ("class", "windows", "Se float", "Se compiled", "+P float", "+P compiled")
    if report.quantities:
        names = ("quantity", "windows", "MAE float", "MAE compiled", "R² float", "R² compiled")
    for column, name in enumerate(names):
        table.add_column(name, justify="right" if column else "left")
    for figures in report.classes:
        shares = (
            figures.sensitivity_float,
            figures.sensitivity_compiled,
            figures.ppv_float,
            figures.ppv_compiled,
        )
        table.add_row(figures.label, str(figures.windows), *(f"{share:.2%}" for share in shares))
    for found in report.quantities:
        errors = (found.mean_absolute_error_float, found.mean_absolute_error_compiled)
        explained = (found.r_squared_float, found.r_squared_compiled)
        table.add_row(
            f"{found.name} [{found.unit}]".replace("[", "\\["),
            str(found.windows),
            *(f"{error:.3g}" for error in errors),
            *(f"{share:.4f}" for share in explained),
        )
    return table


def verdict(report: VerificationReport) -> str:
    """Return in a line how the compiled model compares with the float one."""
    what = "decisions agree with" if report.classes else "estimates are as good as those of"
    groups = f"; the budget also holds in each of {len(report.groups)} groups" if report.groups else ""
    return f"{report.agreement:.2%} of {what} the float model{groups}"
