"""Finding the Python interpreters that a test needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST, NEWEST = (3, 10), (3, 13)


def interpreters() -> dict[tuple[int, int], Path]:
    """Return a working interpreter for each supported version that this machine has."""
    found: dict[tuple[int, int], Path] = {sys.version_info[:2]: Path(sys.executable)}
    for candidate in _candidates():
        version = _version(candidate)
        if version and OLDEST <= version <= NEWEST:
            found.setdefault(version, candidate)
    return dict(sorted(found.items()))


def _candidates() -> Iterator[Path]:
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        on_path = shutil.which(f"python3.{minor}")
        if on_path:
            yield Path(on_path)
    for root in (Path(os.environ.get("PYENV_ROOT", "~/.pyenv")), Path("~/.local/share/uv/python")):
        yield from sorted(root.expanduser().glob("**/bin/python3.1[0-9]"))


def _version(candidate: Path) -> tuple[int, int] | None:
    asked = [candidate, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    major, minor = answer.stdout.split()
    return int(major), int(minor)
