"""A wearable's side of a serial line."""

from __future__ import annotations

import binascii
import os
import struct
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import Unavailable


def frame(
    steps: NDArray[np.int16],
    *,
    first: int,
    session: int = 1,
    scale: float = 0.005,
    version: int = 1,
    count: int | None = None,
) -> bytes:
    """A frame of stored samples, shape (n, channels), with its end."""
    rows, channels = steps.shape
    header = struct.pack("<BBBBIf", version, session, channels, rows if count is None else count, first % 2**32, scale)
    body = header + steps.astype("<i2").tobytes()
    return stuffed(body + struct.pack("<H", binascii.crc_hqx(body, 0xFFFF))) + b"\0"


def stuffed(raw: bytes) -> bytes:
    """COBS, as its paper describes it: a zero is added, and each run up to one is told by its length."""
    out, run = bytearray(), bytearray()
    for byte in raw + b"\0":
        if byte:
            run.append(byte)
            if len(run) == 254:
                out += b"\xff" + run
                run.clear()
        else:
            out += bytes([len(run) + 1]) + run
            run.clear()
    return bytes(out)


def frames(steps: NDArray[np.int16], *, size: int, first: int = 0, session: int = 1) -> list[bytes]:
    """All samples in frames of so many."""
    return [frame(steps[at : at + size], first=first + at, session=session) for at in range(0, len(steps), size)]


def lines(values: Iterable[float]) -> list[bytes]:
    """One line for each value; the first is what a sketch prints when it begins."""
    return [b"ready\r\n", *(f"{value}\r\n".encode() for value in values)]


class ScriptedPort:
    """A port that delivers pieces one read at a time, and sets the clock by what each is worth.

    Args:
        script: What each read gives: bytes and nanoseconds that pass before; ``None`` for a port that vanishes.

    Attributes:
        at_end: Called when the script is over.
    """

    at_end: Callable[[], None]

    def __init__(self, script: Iterable[tuple[bytes, int] | None]) -> None:
        self._script = deque(script)
        self.now_ns = 10**18
        self.opened = self.shut = 0

    def open(self) -> ScriptedPort:
        self.opened += 1
        return self

    def time_ns(self) -> int:
        return self.now_ns

    def read(self, *, timeout_s: float) -> bytes:
        assert timeout_s > 0
        if not self._script:
            self.at_end()
            return b""
        item = self._script.popleft()
        if item is None:
            raise Unavailable("the port is gone")
        data, after_ns = item
        self.now_ns += after_ns
        return data

    def close(self) -> None:
        self.shut += 1


class Terminal:
    """A pseudo-terminal: the gateway opens `path`, and the wearable writes."""

    def __init__(self) -> None:
        self._wearable, self._held = os.openpty()
        self.path = Path(os.ttyname(self._held))

    def write(self, data: bytes) -> None:
        """Write everything, as slowly as it is read."""
        while data:
            data = data[os.write(self._wearable, data[:256]) :]

    def unplug(self) -> None:
        os.close(self._held)
        os.close(self._wearable)
