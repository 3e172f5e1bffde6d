"""What happens to simulated streams, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_sdk.tensors import IntArray

Rhythm = Literal["rate", "fibrillation", "ventricular", "asystole", "walking"]
Fault = Literal["lead_off", "flat", "saturation", "clipping", "noise", "motion"]
Delivery = Literal["lost", "repeated", "late"]
RHYTHMS: tuple[Rhythm, ...] = get_args(Rhythm)
FAULTS: tuple[Fault, ...] = get_args(Fault)
DELIVERIES: tuple[Delivery, ...] = get_args(Delivery)
_NEEDS_LEVEL = {"rate", "fibrillation", "ventricular", "walking", "saturation", "clipping", "noise", "motion"}


class Episode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happens.

    Attributes:
        kind: What. Rhythms: ``rate`` (sinus rhythm), ``fibrillation`` (atrial), ``ventricular`` (tachycardia),
            ``asystole``, ``walking``. Faults: ``lead_off`` (missing samples), ``flat``, ``saturation``, ``clipping``,
            ``noise``, ``motion``. Deliveries: ``lost``, ``repeated``, ``late`` blocks; late ones come at the end.
        start_s: When it begins.
        duration_s: How long it lasts.
        level: Beats or steps per minute; the rail's value; the largest value that is not clipped; the standard
            deviation of noise, or the size of motion, in the signal's unit.
        streams: Which streams, from 0; none for all.
    """

    kind: Literal[Rhythm, Fault, Delivery]
    start_s: float
    duration_s: float
    level: float = 0.0
    streams: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.start_s < 0 or self.duration_s <= 0:
            raise ValueError("an episode must not begin before 0, and must last")
        if self.kind in _NEEDS_LEVEL and self.level <= 0:
            raise ValueError(f"an episode of {self.kind} needs a level above 0")

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.duration_s

    def lanes(self, streams: int) -> IntArray:
        """Return which of so many streams it is about."""
        return np.array([lane for lane in self.streams if lane < streams] if self.streams else range(streams), np.int64)


def during(episodes: Iterable[Episode], kinds: Sequence[str], *, start_s: float, end_s: float) -> list[Episode]:
    """Return the episodes of these kinds that last at any time from ``start_s`` to before ``end_s``."""
    return [
        episode for episode in episodes if episode.kind in kinds and episode.start_s < end_s and start_s < episode.end_s
    ]


def is_in(episode: Episode, lanes: IntArray, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each lane whether the episode is about it at its time; shapes (n,)."""
    inside: NDArray[np.bool_] = (times_s >= episode.start_s) & (times_s < episode.end_s)
    if episode.streams:
        inside &= np.isin(lanes, episode.streams)
    return inside
