"""A Python in which tflite-runtime is installed, the oldest runtime that models are made for."""

from __future__ import annotations

import configparser
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.system.interpreters import interpreters

NEWEST_FOR_TFLITE = (3, 11)


def python_with_tflite(config: pytest.Config) -> Path:
    """Return an interpreter with what the extra ``device-tflite`` brings, kept from one run to the next."""
    setup = configparser.ConfigParser()
    setup.read(config.rootpath / "setup.cfg")
    wanted = setup["options"]["install_requires"] + setup["options.extras_require"]["device-tflite"]
    found = {version: path for version, path in interpreters().items() if version <= NEWEST_FOR_TFLITE}
    assert found, "tflite-runtime needs Python 3.10 or 3.11: install one, e.g. with 'uv python install 3.11'"
    version = max(found)
    digest = hashlib.sha256(f"{version}{wanted}".encode()).hexdigest()[:12]
    assert config.cache is not None
    folder = config.cache.mkdir("device-tflite") / digest
    if not (folder / "ready").exists():
        subprocess.run([found[version], "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted.split("\n")[1:]], check=True)
        (folder / "ready").touch()
    return folder / "bin" / "python"


def quiet() -> dict[str, str]:
    """Return this process's environment without what would change another Python's behaviour."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
