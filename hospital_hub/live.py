"""What is true at this moment and comes again by itself: newest values, alarms just raised. Never the only copy."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass

from edge_sdk.messages import Latest
from edge_sdk.observation import Observation
from edge_sdk.topics import DeviceTopics

_CODES = 32
_ALARMS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A newest value, and when it came; one that the broker had kept may be of any age and came at 0."""

    latest: Latest
    received_at_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Raised:
    """An alarm that a device raised just now; its batch carries the copy that counts."""

    number: int
    device: DeviceTopics
    alarm: Observation


class Live:
    """Shared by the network, which writes, and the web, which reads. Safe to use from several threads.

    Attributes:
        changes: Grows whenever there is something new to see.
        closing: Set when the hub is about to stop, so that whoever watches lets go.
    """

    def __init__(self) -> None:
        self.changes = 0
        self.closing = False
        self._lock = threading.Lock()
        self._values: dict[DeviceTopics, dict[str, Heard]] = {}
        self._alarms: deque[Raised] = deque(maxlen=_ALARMS)
        self._raised = 0

    def changed(self) -> None:
        """Note that there is something new to see."""
        with self._lock:
            self.changes += 1

    def hear(self, device: DeviceTopics, latest: Latest, *, kept: bool) -> None:
        """Take a newest value; ``kept`` when the broker had it from before."""
        if isinstance(latest.value, float) and not math.isfinite(latest.value):
            return
        with self._lock:
            values = self._values.setdefault(device, {})
            if latest.code in values or len(values) < _CODES:
                values[latest.code] = Heard(latest=latest, received_at_ns=0 if kept else time.time_ns())
                self.changes += 1

    def raise_alarm(self, device: DeviceTopics, alarm: Observation) -> None:
        """Show an alarm at once, before it is stored."""
        with self._lock:
            self._raised += 1
            self._alarms.append(Raised(number=self._raised, device=device, alarm=alarm))

    def values(self, device: DeviceTopics) -> dict[str, Heard]:
        """Return the newest values of a device by code."""
        with self._lock:
            return dict(self._values.get(device, {}))

    def alarms(self, *, after: int) -> list[Raised]:
        """Return the alarms raised after the one of that number."""
        with self._lock:
            return [raised for raised in self._alarms if raised.number > after]

    @property
    def raised(self) -> int:
        """Number of the last alarm."""
        return self._raised
