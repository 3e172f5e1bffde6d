"""The newest value of each code, for dashboards of any make. Convenience only: what counts travels in batches."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from edge_sdk.messages import Latest
from edge_sdk.observation import Classification, Observation, Quantity

_EVERY_S = 1.0
_AT_ONCE = 100


class LatestValues:
    """Holds what is newest, and hands it out at most once a second. Safe to use from several threads.

    Args:
        several_streams: Whether the gateway has more than one.
    """

    def __init__(self, *, several_streams: bool = False) -> None:
        self.several_streams = several_streams
        self._lock = threading.Lock()
        self._changed: dict[tuple[str, str], Observation] = {}
        self._due_s = 0.0

    def offer(self, observations: Iterable[Observation]) -> None:
        """Take new observations; strips have no one value to show and are left out."""
        with self._lock:
            for observation in observations:
                if isinstance(observation.value, (Quantity, Classification)):
                    self._changed[observation.stream, observation.code.code] = observation

    def due(self, now_s: float) -> list[Latest]:
        """Return what changed, if a second has passed since the last time; of too many those that waited longest."""
        if now_s < self._due_s or not self._changed:
            return []
        self._due_s = now_s + _EVERY_S
        with self._lock:
            turn = list(self._changed)[:_AT_ONCE]
            return [as_latest(self._changed.pop(key)) for key in turn]


def as_latest(observation: Observation) -> Latest:
    """Return an observation as the small message that dashboards read."""
    shown: float | str | None = None
    unit = ""
    if isinstance(observation.value, Quantity):
        shown, unit = observation.value.value, observation.value.unit
    elif isinstance(observation.value, Classification):
        shown = observation.value.label
    return Latest(
        code=observation.code.code,
        display=observation.code.display,
        value=shown,
        unit=unit,
        effective_time_ns=observation.effective_time_ns,
        stream=observation.stream,
        subject=observation.subject,
        quality=observation.quality,
    )
