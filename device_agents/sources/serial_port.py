"""Serial ports of Linux and other POSIX systems: the standard library has all that is needed."""

from __future__ import annotations

import fcntl
import os
import select
import termios
import tty
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edge_sdk.errors import ConfigError, Unavailable

_MOST_BYTES = 4_096  # what Linux keeps of a terminal's input
SPEEDS: dict[int, int] = {
    int(name[1:]): getattr(termios, name) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()
}
"""Bits a second that a port may be set to, and termios' word for each."""


class Port(Protocol):
    """What bytes come from."""

    def read(self, *, timeout_s: float) -> bytes:
        """Return what has come, or nothing if nothing comes in time.

        Raises:
            Unavailable: The port is gone.
        """

    def close(self) -> None:
        """Give it back."""


class TerminalPort:
    """Implements `Port`: 8 data bits, no parity, one stop bit, no flow control, and for us alone.

    Args:
        path: Such as ``/dev/ttyACM0``, or better a name in ``/dev/serial/by-id`` that stays.
        speed: Bits a second; USB devices with a port of their own ignore it.

    Raises:
        ConfigError: It is no serial port, or has not this speed.
        Unavailable: It is not there now, or not ours.
    """

    def __init__(self, path: Path, *, speed: int) -> None:
        if speed not in SPEEDS:
            raise ConfigError(f"{speed} bits a second is no speed of a serial port", remedy="use 115200 or 921600")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise Unavailable(
                f"serial port {path} cannot be opened: {error.strerror}", remedy=_remedy(error)
            ) from error
        try:
            self._set(SPEEDS[speed])
        except termios.error as error:
            os.close(self._file)
            raise ConfigError(
                f"{path} is no serial port: {error.args[-1]}", remedy="name one, see /dev/serial"
            ) from error
        self._path = path
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def read(self, *, timeout_s: float) -> bytes:
        """Return what has come, or nothing if nothing comes in time."""
        if not self._poll.poll(timeout_s * 1000):
            return b""
        try:
            data = os.read(self._file, _MOST_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise Unavailable(f"serial port {self._path} is gone: {error.strerror}") from error
        if not data:
            raise Unavailable(f"serial port {self._path} is gone")
        return data

    def close(self) -> None:
        """Give it back."""
        with suppress(OSError):
            os.close(self._file)

    def _set(self, speed: int) -> None:
        tty.setraw(self._file)
        modes = termios.tcgetattr(self._file)
        modes[2] = modes[2] | termios.CLOCAL | termios.CREAD
        modes[2] &= ~(termios.CSTOPB | getattr(termios, "CRTSCTS", 0))
        modes[4] = modes[5] = speed
        termios.tcsetattr(self._file, termios.TCSANOW, modes)
        with suppress(OSError):  # what cannot be had alone is shared
            fcntl.ioctl(self._file, termios.TIOCEXCL)


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "add the agent's user to the group dialout"
    return "plug it in, or correct its path"
