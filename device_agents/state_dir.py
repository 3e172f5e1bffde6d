"""The agent's own folder: one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from edge_sdk.errors import ConfigError, StorageUnavailable


class StateDir:
    """Holds the folder for this process; the kernel lets go when the process ends, however it ends.

    Raises:
        ConfigError: The folder cannot be made or written.
        StorageUnavailable: Another agent holds it.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"state_dir {path} cannot be used ({error.strerror})", remedy="check the path and its permissions"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise StorageUnavailable(
                f"state_dir {path} is in use by another agent",
                remedy="stop it, or give this one a state_dir of its own",
            ) from error
        self.outbox_path = path / "outbox.db"

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._descriptor)
