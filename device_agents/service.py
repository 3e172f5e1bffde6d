"""Being a service: telling systemd that the agent is ready, what it does, and that its work still moves.

The protocol is sd_notify's: a datagram of ``KEY=VALUE`` lines to the socket that ``NOTIFY_SOCKET`` names
(https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html). Without that variable nothing is told.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

_US = 1_000_000
# systemd advises half the interval; a third leaves room for one that comes late.
_BEATS_AN_INTERVAL = 3
_log = logging.getLogger(__name__)


class Notifier:
    """Tells the service manager.

    Args:
        address: A path, or a name in the abstract namespace that begins with ``@``; empty to tell nobody.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        """Say that the agent works, after starting or after `reloading`."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Say that a new configuration is being taken up."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the agent is about to end."""
        self._tell("STOPPING=1")

    def status(self, words: str) -> None:
        """Say in a line what the agent does, for ``systemctl status``."""
        self._tell(f"STATUS={' '.join(words.split())}")

    def alive(self) -> None:
        """Say that the work moves."""
        self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
                told.settimeout(1.0)
                told.connect(self._address)
                told.send(state.encode())
        except OSError as error:  # a service manager that does not listen must not stop a monitor
            _log.warning("the service manager cannot be told (%s)", error.strerror)


class Heartbeat:
    """Passes on that the work loop moves. Only that loop may call `beat`: a timer would go on when the loop hangs.

    Args:
        notifier: Whom to tell.
        interval_s: Within which the service manager wants to hear of it; 0 if it does not.
        clock: Monotonic seconds.
    """

    def __init__(self, notifier: Notifier, *, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._notifier, self._clock = notifier, clock
        self._every_s = interval_s / _BEATS_AN_INTERVAL
        self._beat_s = self._told_s = clock()

    def beat(self) -> None:
        """Say that the loop has made a turn; cheap enough for every turn."""
        self._beat_s = self._clock()
        if self._every_s and self._beat_s - self._told_s >= self._every_s:
            self._told_s = self._beat_s
            self._notifier.alive()

    @property
    def age_s(self) -> float:
        """How long ago the loop made its last turn."""
        return self._clock() - self._beat_s


def notifier(environment: Mapping[str, str] = os.environ) -> Notifier:
    """Return what tells the service manager that started this process."""
    return Notifier(environment.get("NOTIFY_SOCKET", ""))


def watchdog_s(environment: Mapping[str, str] = os.environ, *, pid: int | None = None) -> float:
    """Return the seconds within which the service manager wants to hear from this process; 0 if it does not."""
    wanted, meant = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not wanted.isdigit() or (meant and meant != str(pid or os.getpid())):
        return 0.0
    return int(wanted) / _US
