"""When simulated hearts beat, many at once, and what kind of beat each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_agents.sources.simulated_chance import Chance
from device_agents.sources.simulated_episodes import RHYTHMS, Episode, is_in
from edge_sdk.tensors import IntArray

Float64Array = NDArray[np.float64]

NORMAL, VENTRICULAR, WITHOUT_P, NONE = range(4)
"""Kinds of beats; of none there is only its time."""

SHORTEST_S = 0.25
"""Between two beats."""

_LONGEST_S = 3.0
_BREATH_HZ, _BREATHING, _WANDERING = 0.25, 0.04, 0.015  # respiratory and other variation of RR, as shares of it
_FIBRILLATION = 0.25  # standard deviation of the logarithm of RR
_EARLY, _PAUSE = 0.6, 1.4  # an ectopic beat's RR and the next one's: together two usual ones


@dataclass(frozen=True, slots=True)
class Beats:
    """One beat of each stream.

    Attributes:
        at_s: When its R wave is.
        kind: Which kind.
    """

    at_s: Float64Array
    kind: IntArray

    def some(self, lanes: NDArray[np.bool_]) -> Beats:
        """Return those of some streams."""
        return Beats(self.at_s[lanes], self.kind[lanes])


class Hearts:
    """Beats of so many streams, one after the other.

    Args:
        streams: How many.
        seed: Of the simulation.
        rate_per_min: Usual heart rate.
        ectopic_share: Share of beats that are ventricular and early.
        episodes: What happens; only rhythms matter here.

    Attributes:
        before: The last beat that is not later than the time reached.
        after: The next.
        then: The one after that.
    """

    def __init__(
        self, streams: int, *, seed: int, rate_per_min: float, ectopic_share: float, episodes: Sequence[Episode]
    ) -> None:
        self._lanes = np.arange(streams)
        self._rate, self._share = rate_per_min, ectopic_share
        self._episodes = [episode for episode in episodes if episode.kind in RHYTHMS]
        self._vary, self._choose = Chance(seed, 1), Chance(seed, 2)
        self._phase = Chance(seed, 3).uniform(self._lanes, self._lanes * 0) * 2 * np.pi
        self._number = np.zeros(streams, np.int64)
        first = Beats(-self._vary.uniform(self._lanes, self._lanes * 0 - 1), np.zeros(streams, np.int64))
        self.before = first
        self.after = self._next(self._lanes, first)
        self.then = self._next(self._lanes, self.after)
        self.advance(0.0)

    def advance(self, to_s: float) -> None:
        """Go on to a time."""
        while len(due := np.flatnonzero(self.after.at_s <= to_s)):
            fresh = self._next(due, Beats(self.then.at_s[due], self.then.kind[due]))
            for passed, coming in ((self.before, self.after), (self.after, self.then), (self.then, fresh)):
                source = due if coming is not fresh else slice(None)
                passed.at_s[due], passed.kind[due] = coming.at_s[source], coming.kind[source]

    def _next(self, lanes: IntArray, last: Beats) -> Beats:
        """Return the beats after these."""
        number = self._number[lanes]
        self._number[lanes] += 1
        chance = self._choose.uniform(lanes, number)
        varied = self._vary.normal(lanes, number).astype(np.float64)
        usual = 60 / self._rate
        breath = _BREATHING * np.sin(2 * np.pi * _BREATH_HZ * last.at_s + self._phase[lanes])
        rhythm = 1 + breath + _WANDERING * varied
        ectopic = (chance < self._share) & (last.kind != VENTRICULAR)
        rr = usual * rhythm * np.where(ectopic, _EARLY, np.where(last.kind == VENTRICULAR, _PAUSE, 1.0))
        kind = np.where(ectopic, VENTRICULAR, NORMAL)
        for episode in self._episodes:
            inside = is_in(episode, lanes, last.at_s)
            if episode.kind == "rate":
                rr, kind = np.where(inside, 60 / episode.level * rhythm, rr), np.where(inside, NORMAL, kind)
            elif episode.kind == "fibrillation":
                uneven = 60 / episode.level * np.exp(_FIBRILLATION * varied)
                rr, kind = np.where(inside, uneven, rr), np.where(inside, WITHOUT_P, kind)
            elif episode.kind == "ventricular":
                even = 60 / episode.level * (1 + _WANDERING * varied)
                rr, kind = np.where(inside, even, rr), np.where(inside, VENTRICULAR, kind)
        at_s = last.at_s + np.clip(rr, SHORTEST_S, _LONGEST_S)
        for episode in self._episodes:
            if episode.kind == "asystole":
                kind = np.where(is_in(episode, lanes, at_s), NONE, kind)
        return Beats(at_s, kind)
