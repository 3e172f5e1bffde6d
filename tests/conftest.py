"""Fixtures that every test may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings that are too many to ship (``EDGE_SHARED_DATA`` overrides where it is)."""
    folder = Path(os.environ.get("EDGE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real recordings are not at {folder}; set EDGE_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def demo_record() -> Path:
    """The real recording that is shipped, without its extension."""
    return REPOSITORY / "examples" / "ecg_beats" / "data" / "200"


@pytest.fixture(scope="session")
def ecg_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example model as an int8 bundle, made by the documented commands; ``signing.pub`` is beside it."""
    folder = tmp_path_factory.mktemp("bundle")
    example = REPOSITORY / "examples" / "ecg_beats"
    command = Path(sys.executable).parent / "edge-convert"
    subprocess.run([command, "keygen", "--out", folder], check=True)
    options = {
        "--contract": example / "ecg_beats.toml",
        "--target": "raspberry-pi-4b",
        "--recipe": "int8",
        "--calibration": example / "calibration.npz",
        "--evaluation": example / "evaluation.npz",
        "--key": folder / "signing.key",
        "--out": folder / "ecg_beats.edge",
        "--json": folder / "conversion.json",
    }
    words = [str(word) for option in options.items() for word in option]
    subprocess.run([command, "convert", example / "ecg_beats.keras", *words], check=True)
    return folder / "ecg_beats.edge"
