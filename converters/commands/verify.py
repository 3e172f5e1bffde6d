"""``edge-convert verify``: a bundle's self-test, here or on an emulated Arm CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sdk.bundle import open_bundle
from edge_sdk.signing import load_public_key

if TYPE_CHECKING:
    from converters.parity import Outcome

_PATH = click.Path(path_type=Path)


@click.command("verify")
@click.argument("bundle", type=_PATH)
@click.option("--trust", type=_PATH, required=True, multiple=True, help="signing.pub of a maker you trust.")
@click.option("--emulate", is_flag=True, help="On an emulated aarch64 CPU, with the real Arm runtimes.")
@click.option("--apt-sources", type=_PATH, help="As for 'edge-convert emulator'.")
def verify_command(bundle: Path, trust: tuple[Path, ...], apt_sources: Path | None, *, emulate: bool) -> None:
    """Run BUNDLE's signed self-test on this machine's runtimes, or on an emulated Arm CPU."""
    from converters.emulation.setup import ready_emulator  # noqa: PLC0415  # starts children; only here
    from converters.parity import check, verify_emulated, verify_here  # noqa: PLC0415

    opened = open_bundle(bundle, trusted=[load_public_key(path) for path in trust])
    if not emulate:
        outcomes = verify_here(opened)
        _show(outcomes)
    else:
        emulator = ready_emulator(sources=apt_sources, progress=lambda step: click.echo(f"fetching {step}", err=True))
        outcomes = verify_emulated(opened, emulator)
        _show(outcomes)
        click.echo(f"{emulator.words}; says nothing about a board's speed")
        for runtime in {"litert", "tflite-runtime"} - set(emulator.machines):
            click.echo(f"note: {runtime} has no wheel for the emulated Python {emulator.python}, so it was not run")
        for runtime in set(emulator.machines) - set(emulator.here):
            click.echo(f"note: {runtime} has no wheel for this machine's Python, so only the signed answers judge it")
    check(outcomes)


def _show(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        click.echo(f"{'passed' if outcome.passed else 'FAILED'}  {outcome.runtime} on {outcome.machine}")
        click.echo(
            f"        {outcome.cases} windows; from the signed answers {outcome.signed_error:.3g} "
            f"(allowed {outcome.tolerance:.3g})"
        )
        if outcome.compared_with:
            click.echo(f"        {_beside(outcome)}")


def _beside(outcome: Outcome) -> str:
    if outcome.identical is None:
        return f"float: at most {outcome.here_error:.3g} from {outcome.compared_with}"
    if outcome.identical:
        return f"bit-identical to {outcome.compared_with}"
    return f"{outcome.different:.2%} of its integers differ from {outcome.compared_with}"
