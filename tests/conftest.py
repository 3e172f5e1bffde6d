"""Fixtures that every test may use."""

from __future__ import annotations

import os
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
