"""The agent's figures for whoever asks on this machine: connect to a socket in the state folder and read JSON."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_sdk.errors import StorageUnavailable

NAME = "agent.sock"
_PATIENCE_S = 2.0
_MOST_BYTES = 1024 * 1024
_log = logging.getLogger(__name__)


class StatusSocket:
    """Answers each connection with what ``say`` returns. Only the agent's own user may connect.

    Args:
        folder: The agent's own folder, which it holds already.
        say: Returns JSON; called from another thread.
    """

    def __init__(self, folder: Path, say: Callable[[], bytes]) -> None:
        self._path, self._say = folder / NAME, say
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._thread = threading.Thread(target=self._serve, name="status", daemon=True)

    def start(self) -> None:
        """Begin to answer. Where that cannot be, the agent works all the same."""
        try:
            self._path.unlink(missing_ok=True)  # of an agent that was killed: the folder is held by us alone
            before = os.umask(0o177)
            try:
                with _short(self._path.parent) as path:
                    self._listener.bind(path)
            finally:
                os.umask(before)
            self._listener.listen()
        except OSError as error:
            _log.warning("'edge-agent status' will not reach this agent: %s: %s", self._path, error)
            return
        self._thread.start()

    def stop(self) -> None:
        """End, and leave nothing behind."""
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._path.unlink(missing_ok=True)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                asker, _ = self._listener.accept()
            except OSError:
                return
            with asker, contextlib.suppress(OSError):
                asker.settimeout(_PATIENCE_S)
                asker.sendall(self._say())


def ask(folder: Path) -> bytes | None:
    """Return what the agent that holds a folder says; ``None`` where nobody listens.

    Raises:
        StorageUnavailable: It listens and does not answer, or this user may not ask.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(_PATIENCE_S)
        try:
            with _short(folder) as path:
                asker.connect(path)
            return _all(asker)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise StorageUnavailable(
                f"the agent of {folder} does not answer ({error})", remedy="ask as the user that it runs as, or as root"
            ) from error


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Name the socket in a folder so that it fits into the 108 bytes that a socket's name may have."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


def _all(asker: socket.socket) -> bytes:
    found = b""
    while len(found) < _MOST_BYTES and (part := asker.recv(65536)):
        found += part
    return found
