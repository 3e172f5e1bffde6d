"""Writes ``docs/conversion-matrix.md``: every format, architecture, recipe and board. Run by ``make matrix``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from converters.optimizers.recipe import recipe_names
from edge_sdk.profiles import load_profile
from tests.conversion.matrix.architectures import keras_models
from tests.conversion.matrix.cells import BUDGET_POINTS, Cell, formats
from tests.conversion.matrix.one import in_a_process

PAGE = Path(__file__).parents[3] / "docs" / "conversion-matrix.md"
# One board of each kind: what is true of it is true of those with the same runtime.
PROFILES = ("raspberry-pi-4b", "coral-usb-on-pi-4b", "jetson-orin-nano")
HEAD = f"""\
# What converts

Every format, architecture, recipe and kind of board, converted from a small model of each on windows of a real ECG.
`make matrix` runs all of it and writes this page; `make test` runs a part and compares it with the page.

**✓**: converted, and the compiled model keeps all but {BUDGET_POINTS:g} points of the variance of what the source
answers. A letter: refused, with the reason below. Weights are random, which is harder on integers than trained ones
are: your model may do what a letter refuses here, and `--recipe auto` finds out. For Coral, whose compiler is not part
of this, the number of operators that the forecast maps to the Edge TPU: what the numbers lose is what they lose on a
Raspberry Pi.
"""


def main() -> int:
    """Convert everything and write the page."""
    pairs = [(source, architecture) for source in formats() for architecture in keras_models()]
    console = Console(stderr=True)
    found: list[Cell] = []
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        # Each in a process of its own: the threads only wait.
        made = workers.map(lambda pair: in_a_process(*pair, recipes=recipe_names(), profiles=PROFILES), pairs)
        for cells in track(made, total=len(pairs), description="convert", console=console):
            found += cells
    PAGE.write_text(page(found))
    done = sum(cell.done for cell in found)
    console.print(f"{done} of {len(found)} cells converted, {len(found) - done} refused with a reason: {PAGE}")
    return 0


def page(found: Iterable[Cell]) -> str:
    """Return the page for these cells."""
    by_place = {(cell.profile, cell.source, cell.architecture, cell.recipe): cell for cell in found}
    reasons = letters(by_place.values())
    parts = [HEAD]
    for slug in dict.fromkeys(profile for profile, *_ in by_place):
        parts.append(f"## {load_profile(slug).name}\n")
        columns = list(dict.fromkeys(cell.recipe for cell in by_place.values()))
        parts.append(f"| from | | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
        rows = dict.fromkeys((cell.source, cell.architecture) for cell in by_place.values())
        for source, architecture in rows:
            words = [mark(by_place[slug, source, architecture, recipe], reasons) for recipe in columns]
            parts.append(f"| {source} | {architecture} | {' | '.join(words)} |")
        parts.append("")
    parts.append("## Reasons\n\n| | |\n|---|---|")
    parts += [f"| {letter} | {reason} |" for reason, letter in reasons.items()]
    return "\n".join(parts) + "\n"


def letters(found: Iterable[Cell]) -> dict[str, str]:
    """Return a letter for each reason."""
    reasons = sorted({cell.outcome for cell in found if not cell.done})
    return {reason: _letter(number) for number, reason in enumerate(reasons)}


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else _letter(number // 26 - 1) + _letter(number % 26)


def mark(cell: Cell, reasons: dict[str, str]) -> str:
    """Return what a cell shows."""
    if not cell.done:
        return reasons[cell.outcome]
    return "✓" if cell.outcome == "done" else cell.outcome


def shown(slug: str) -> dict[tuple[str, str, str], str]:
    """Return what the page says of one board: the mark, or the reason behind its letter."""
    text = PAGE.read_text()
    reasons = dict(re.findall(r"^\| ([a-z]+) \| (.+) \|$", text.split("## Reasons")[1], flags=re.MULTILINE))
    section = text.split(f"## {load_profile(slug).name}\n")[1].split("\n## ")[0]
    head, _, *rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    recipes = [word.strip("| ") for word in head[-len(recipe_names()) :]]
    return {
        (row[0], row[1], recipe): reasons.get(word, word)
        for row in rows
        for recipe, word in zip(recipes, row[2:], strict=True)
    }


if __name__ == "__main__":
    sys.exit(main())
