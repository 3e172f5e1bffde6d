"""Engines that TensorRT built here, kept from one start to the next: building one takes from seconds to minutes."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from edge_sdk.errors import StorageUnavailable
from edge_sdk.files import sha256_hex, write_atomic

_SUFFIX = ".engine"
_SHORT = 16
_KEPT = 4  # the present model and a few before it, to go back to
_log = logging.getLogger(__name__)


class EngineKey(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine is good for, and for nothing else: NVIDIA promises no other combination.

    Attributes:
        model_sha256: Digest of the ONNX file it was built from.
        tensorrt: Version of TensorRT that built it.
        gpu: The GPU it was built on.
    """

    model_sha256: str
    tensorrt: str
    gpu: str


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    key: EngineKey
    engine_sha256: str


class EngineCache:
    """Engines in a folder of the agent's own, one file each: a line that says what it is, then the engine.

    What is in a file must be exactly what its first line says, and that what is asked for; else it is built again.

    Args:
        folder: Made when the first engine is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: EngineKey) -> bytes | None:
        """Return the engine for exactly this key, or ``None``: not there, or damaged."""
        try:
            head, separator, engine = self._path(key).read_bytes().partition(b"\n")
        except OSError:
            return None
        expected = _Head(key=key, engine_sha256=sha256_hex(engine))
        if not separator or head != msgspec.json.encode(expected):
            _log.warning("the kept TensorRT engine is damaged; it is built again")
            return None
        return engine

    def put(self, key: EngineKey, engine: bytes) -> None:
        """Keep an engine, and forget those that the same model had before. A full disk only costs the next start."""
        head = msgspec.json.encode(_Head(key=key, engine_sha256=sha256_hex(engine)))
        try:
            write_atomic(self._path(key), head + b"\n" + engine, mode=0o600)
            self._forget_others(key)
        except (OSError, StorageUnavailable) as error:
            _log.warning("the TensorRT engine cannot be kept: %s", error)

    def _path(self, key: EngineKey) -> Path:
        return self._folder / f"{_prefix(key)}-{sha256_hex(msgspec.json.encode(key))[:_SHORT]}{_SUFFIX}"

    def _forget_others(self, key: EngineKey) -> None:
        mine = self._path(key)
        others = [path for path in self._folder.glob(f"*{_SUFFIX}") if path != mine]
        stale = {path for path in others if path.name.startswith(_prefix(key))}
        rest = sorted(set(others) - stale, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in (*stale, *rest[_KEPT - 1 :]):
            path.unlink(missing_ok=True)


def _prefix(key: EngineKey) -> str:
    return key.model_sha256[:_SHORT]
