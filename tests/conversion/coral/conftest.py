from __future__ import annotations

from pathlib import Path

import pytest

from converters.compilers.coral.compiler import ENVIRONMENT
from edge_sdk.files import sha256_hex

DATA = Path(__file__).parent / "data"
FAKE_COMPILER = Path(__file__).parents[2] / "fakes" / "edgetpu_compiler.py"


class Recordings:
    """What the stand-in for the compiler will answer, model by model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, model: bytes, *, log: str, compiled: bytes | None = None) -> None:
        """Answer for this model; without a compiled one it is refused in the log's words."""
        (self._folder / f"{sha256_hex(model)}.log").write_text(log)
        if compiled is not None:
            (self._folder / f"{sha256_hex(model)}.tflite").write_bytes(compiled)


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recordings:
    """Installs the stand-in for the compiler; give it its answers."""
    monkeypatch.setenv(ENVIRONMENT, str(FAKE_COMPILER))
    monkeypatch.setenv("EDGETPU_RECORDINGS", str(tmp_path))
    return Recordings(tmp_path)


def data(name: str) -> bytes:
    return (DATA / name).read_bytes()


def log(name: str) -> str:
    return (DATA / name).read_text()
