"""What goes wrong between a body and its samples, done to blocks of many streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from device_agents.sources.simulated_chance import Chance, Noise
from device_agents.sources.simulated_episodes import FAULTS, Episode, during
from edge_sdk.tensors import FloatArray, IntArray

Float64Array = NDArray[np.float64]

_SWAYS_HZ = (0.3, 0.7, 1.9, 4.3)  # a body and its cables; the last overlaps with what is measured
_SHIVER = 0.2  # of a motion's size, at every frequency


class Faults:
    """Spoils blocks. What several episodes do happens in their order.

    Args:
        seed: Of the simulation.
        streams: How many there are.
        noise: What noise and motion are made of.
        episodes: What happens; only faults matter here.
    """

    def __init__(self, *, seed: int, streams: int, noise: Noise, episodes: Sequence[Episode]) -> None:
        self._streams, self._episodes = streams, [episode for episode in episodes if episode.kind in FAULTS]
        self._noise, self._sway = noise, Chance(seed, 6)
        self._ways: dict[str, Callable[[FloatArray, Episode, IntArray, IntArray, Float64Array], FloatArray]] = {
            "lead_off": lambda found, *_: np.full_like(found, np.nan),
            "flat": lambda found, *_: np.zeros_like(found),
            "saturation": lambda found, episode, *_: np.full_like(found, episode.level),
            "clipping": lambda found, episode, *_: np.clip(found, -episode.level, episode.level),
            "noise": self._noisy,
            "motion": self._moved,
        }

    def spoil(self, samples: FloatArray, *, start_index: int, times_s: Float64Array) -> None:
        """Change samples of shape (streams, n, channels) in place."""
        if not self._episodes:
            return
        for episode in during(self._episodes, FAULTS, start_s=times_s[0], end_s=times_s[-1] + 1e-9):
            lanes = episode.lanes(self._streams)
            rows = np.flatnonzero((times_s >= episode.start_s) & (times_s < episode.end_s))
            where = (lanes[:, np.newaxis], rows)
            samples[where] = self._ways[episode.kind](samples[where], episode, lanes, rows + start_index, times_s[rows])

    def _noisy(
        self, found: FloatArray, episode: Episode, lanes: IntArray, places: IntArray, _: Float64Array
    ) -> FloatArray:
        noisy: FloatArray = found + np.float32(episode.level) * axes_of(self._noise, lanes, places, axes=found.shape[2])
        return noisy

    def _moved(
        self, found: FloatArray, episode: Episode, lanes: IntArray, places: IntArray, times_s: Float64Array
    ) -> FloatArray:
        sway = np.zeros(found.shape[:2])
        for number, sway_hz in enumerate(_SWAYS_HZ):
            phase = self._sway.uniform(lanes, np.full(len(lanes), number))
            sway += np.sin(2 * np.pi * (sway_hz * times_s + phase[:, np.newaxis])) / len(_SWAYS_HZ)
        shiver = _SHIVER * axes_of(self._noise, lanes, places, axes=found.shape[2])
        moved: FloatArray = (found + episode.level * (sway[:, :, np.newaxis] + shiver)).astype(np.float32)
        return moved


def axes_of(noise: Noise, lanes: IntArray | slice, places: IntArray, *, axes: int) -> FloatArray:
    """Return noise of shape (lanes, places, axes), different along every axis."""
    if axes == 1:
        return noise.at(lanes, places)[:, :, np.newaxis]
    return np.stack([noise.at(lanes, places * axes + axis) for axis in range(axes)], axis=2)
