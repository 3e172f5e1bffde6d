"""One format and architecture of the matrix in a process of its own, since native converters can die.

``python -m tests.conversion.matrix.one FORMAT ARCHITECTURE RECIPE/PROFILE,…`` prints a line of JSON for each cell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.conversion.matrix.cells import Cell, cells
from tests.conversion.matrix.signal import real_ecg

ROOT = Path(__file__).parents[3]
CRASHED = "native code of the converter dies, which becomes an error that names the step"
_MARK = "CELL "


def in_a_process(source: str, architecture: str, *, recipes: Sequence[str], profiles: Sequence[str]) -> list[Cell]:
    """Return the cells of one model; one that takes the process down was refused, and the rest go on in another."""
    places = [(recipe, slug) for recipe in recipes for slug in profiles]
    found: list[Cell] = []
    while len(found) < len(places):
        left = ",".join("/".join(place) for place in places[len(found) :])
        command = [sys.executable, "-W", "ignore", "-m", __name__, source, architecture, left]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet, cwd=ROOT)
        lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
        found += [Cell(**json.loads(line.removeprefix(_MARK))) for line in lines]
        if done.returncode > 0:
            raise AssertionError(f"{source} {architecture}: {done.stderr[-2000:]}")
        if done.returncode < 0:
            recipe, slug = places[len(found)]
            found.append(
                Cell(source=source, architecture=architecture, recipe=recipe, profile=slug, outcome=CRASHED, done=False)
            )
    return found


if __name__ == "__main__":
    wanted, built, where = sys.argv[1:]
    pairs = [(recipe, slug) for recipe, _, slug in (place.partition("/") for place in where.split(","))]
    for cell in cells(wanted, built, places=pairs, samples=real_ecg()):
        print(_MARK + json.dumps(asdict(cell)), flush=True)  # noqa: T201  # read by the process that started this one
