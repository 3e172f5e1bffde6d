"""Models that are loaded, each once, however many streams and names use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from device_agents.model_store import ReadyModel
from edge_sdk.files import read_bytes, sha256_hex


class ModelCache:
    """Loads bundles, and keeps each for as long as someone has it; safe to use from many threads.

    Args:
        load: Opens a bundle and makes its model ready.
    """

    def __init__(self, load: Callable[[Path], ReadyModel]) -> None:
        self._load, self._lock = load, threading.Lock()
        self._models: dict[str, ReadyModel] = {}
        self._users: dict[str, int] = {}

    def __len__(self) -> int:
        """How many models are loaded."""
        return len(self._models)

    def take(self, path: Path) -> ReadyModel:
        """Return a bundle's model; `give_back` it when it is not used any more.

        Raises:
            EdgeError: The bundle cannot be used; then nothing is kept.
        """
        with self._lock:
            model = self._models.get(sha256_hex(read_bytes(path, what="bundle"))) or self._load(path)
            digest = model.ref.bundle_sha256
            self._models.setdefault(digest, model)
            self._users[digest] = self._users.get(digest, 0) + 1
            return self._models[digest]

    def give_back(self, model: ReadyModel) -> None:
        """Let go of a model; when nobody has it any more, its memory is free."""
        digest = model.ref.bundle_sha256
        with self._lock:
            self._users[digest] -= 1
            if not self._users[digest]:
                del self._users[digest], self._models[digest]
