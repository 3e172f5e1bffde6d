"""A forecast for people: on the console, and the rules as a document."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from converters.compilers.coral.forecast import Forecast, OperatorForecast, forecast, parameters
from converters.compilers.coral.rulebook import GENERAL, SPECIFIC, Rule
from converters.compilers.coral.versions import NEWEST_VERSIONS
from edge_sdk.files import read_bytes

if TYPE_CHECKING:
    from rich.table import Table

_OBSERVED = " *(observed)*"


def show_forecast(model: Path, *, memory_bytes: int) -> None:
    """Print where each operator of a ``.tflite`` file will run, why, and what to change.

    Args:
        model: The file.
        memory_bytes: Of the Edge TPU, for parameters.

    Raises:
        ConversionError: It is no LiteRT model, or is compiled already.
        ConfigError: There is no such file, or it cannot be read.
    """
    from rich.console import Console  # noqa: PLC0415  # only a workstation has it

    console = Console()
    expected = forecast(read_bytes(model, what="model"))
    console.print(forecast_table(expected))
    for line in summary(expected, memory_bytes=memory_bytes):
        console.print(line, highlight=False, markup=False)


def forecast_table(expected: Forecast) -> Table:
    """Return the table: neighbours of one kind and fate in one row."""
    from rich.table import Table  # noqa: PLC0415

    table = Table("operators", "kind", "runs on", "because", "advice")
    for first, last in _runs(expected):
        where = f"{first.index}" if first == last else f"{first.index}-{last.index}"
        place, because = ("Edge TPU", "") if first.mapped else ("CPU", f"{first.reason}. {_kept(first)}".strip())
        table.add_row(where, first.name, place, because, first.advice)
    return table


def _kept(operator: OperatorForecast) -> str:
    return f"To be kept: {operator.rule}" if operator.rule else ""


def summary(expected: Forecast, *, memory_bytes: int) -> list[str]:
    """Return the totals, what keeps it from being compiled, and what may go wrong, a line each."""
    count = len(expected.operators)
    lines = [
        f"{expected.mapped} of {count} operators run on the Edge TPU, {count - expected.mapped} on the CPU.",
        f"Parameters: {parameters(expected, memory_bytes=memory_bytes)}.",
    ]
    lines += [
        f"Not to be compiled because of {stop.operator}: {stop.reason}: {stop.advice}." for stop in expected.refusals
    ]
    return [*lines, *(f"Note: {caution}." for caution in expected.cautions)]


def _runs(expected: Forecast) -> list[tuple[OperatorForecast, OperatorForecast]]:
    """Return the first and last of each run of neighbours that share kind, fate and reason."""
    groups = groupby(
        expected.operators, key=lambda operator: (operator.graph, operator.name, operator.mapped, operator.reason)
    )
    runs = [list(group) for _, group in groups]
    return [(run[0], run[-1]) for run in runs]


def rules_document() -> str:
    """Return the rules as Markdown: those that every operator keeps, then each operator's own."""
    general = [f"- {rule.sentence}{_mark(rule)} Otherwise: `{rule.status}`; {rule.advice}." for rule in GENERAL]
    head = ["| operator | newest version | its own rules |", "|---|---|---|"]
    rows = [
        f"| `{name}` | {newest} | {' '.join(f'{rule.sentence}{_mark(rule)}' for rule in SPECIFIC.get(name, ()))} |"
        for name, newest in sorted(NEWEST_VERSIONS.items())
    ]
    return "\n".join(["### Every operator", "", *general, "", "### Operator by operator", "", *head, *rows])


def _mark(rule: Rule) -> str:
    return _OBSERVED if rule.source == "observed" else ""
