"""Shape of a beat's QRS complex and waves against the patient's own, learned while streaming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.beats.comparison import QRS, Comparison, P, T, compare
from edge_sdk.beats.complexes import Complexes, usual_heights
from edge_sdk.beats.families import COUNT, EARLY, LEVEL, PAUSE, SHAPE, SIZE, FamilyBank, Members
from edge_sdk.beats.shapes import about_mean, correlation, height, size, unlikeness
from edge_sdk.beats.waves import WAVE_FEATURES, Waves
from edge_sdk.lanes import grown
from edge_sdk.tensors import FloatArray, IntArray

_ON_TIME = 0.12
_QUICKLY, _SLOWLY = np.float32(0.08), np.float32(0.025)
# How far a complex is moved to find where it fits the usual one best: detected R peaks of odd beats are off by as much.
_OFFSETS_S = (-0.011, -0.0055, 0.0, 0.0055, 0.011)
# How well the usual QRS complex, the P wave, and the P wave of usual beats fitted lately, before there was a beat.
_STEADY = np.array([0, 0.5, 0.5], np.float32)
_ALL, _ONLY_P = _SLOWLY * np.array([[1, 1, 1], [0, 1, 0]], np.float32)

MORPHOLOGY_FEATURES = (
    "usual_correlation",
    "usual_amplitude",
    "usual_distance",
    "usual_share",
    "usual_early",
    "usual_unlikeness",
    "usual_best_unlikeness",
    "usual_steady",
    "family_likeness",
    "family_share",
    "family_early",
    "family_pause",
    "family_amplitude",
    "family_unlikeness",
    "qrs_width",
    "qrs_width_to_usual",
    "qrs_area",
    "qrs_highest",
    "qrs_lowest",
    "qrs_slope_to_usual",
    *WAVE_FEATURES,
)

# Span around the R peak in seconds.
QRS_S = (-0.10, 0.125)


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """What is told of the shape of beats.

    Attributes:
        features: `MORPHOLOGY_FEATURES` in order, each of shape (b,).
        scale: The usual QRS height in mV, shape (b,).
        apart: The QRS complex's difference from the usual one, in mV, shape (b, time of the complex).
    """

    features: list[FloatArray]
    scale: FloatArray
    apart: FloatArray


class MorphologyBank:
    """Learns the usual beat of each lane. Its state is bounded.

    Args:
        sample_rate_hz: Of the beats it is shown.
        r_index: Index of the R peak in each beat.
        time: Samples of each.

    Attributes:
        qrs: Where in a beat the QRS complex is.
    """

    def __init__(self, *, sample_rate_hz: float, r_index: int, time: int) -> None:
        first, last = (r_index + round(bound * sample_rate_hz) for bound in QRS_S)
        self.qrs = slice(max(0, first), min(last, time))
        self._length = self.qrs.stop - self.qrs.start
        starts = [self.qrs.start + round(offset * sample_rate_hz) for offset in _OFFSETS_S]
        fitting = [start for start in starts if 0 <= start <= time - self._length]
        self._moved = np.array(fitting)[:, np.newaxis] + np.arange(self._length)
        self._families = FamilyBank(time=self._length)
        self._complexes = Complexes(sample_rate_hz=sample_rate_hz, time=self._length)
        self._waves = Waves(sample_rate_hz=sample_rate_hz, r_index=r_index, time=time)
        self._usual: FloatArray = np.empty((0, 2, self._waves.width), np.float32)
        self._steady: FloatArray = np.empty((0, len(_STEADY)), np.float32)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        fresh = np.arange(len(self._steady), lanes)
        self._families.resize(lanes)
        self._usual, self._steady = grown(self._usual, lanes), grown(self._steady, lanes)
        self.reset(fresh)

    def reset(self, lanes: IntArray) -> None:
        """Let other patients begin in these lanes."""
        self._families.reset(lanes)
        self._usual[lanes] = np.nan
        self._steady[lanes] = _STEADY

    def describe(self, lanes: IntArray, beats: FloatArray, *, early: FloatArray, pause: FloatArray) -> Described:
        """Describe the next beat of each of these different lanes, and learn from it.

        Args:
            lanes: Shape (b,).
            beats: float32, shape (b, time), filtered, in mV.
            early: Log ratios of the intervals before them to the usual ones, shape (b,).
            pause: Likewise of the intervals after them.
        """
        beat_families = self._as_families(beats, early, pause)
        members = self._families.sort(lanes, beat_families)
        qrs, usual_qrs = beat_families[:, SHAPE:], members.usual[:, SHAPE:]
        scale = usual_heights(usual_qrs)
        waves, lift = self._waves.cut(beats, scale)
        usual_waves = self._usual_waves(lanes, waves)
        found = compare(qrs, usual_qrs, waves, usual_waves)
        on_time = members.is_usual & (np.abs(early) < _ON_TIME)
        self._usual[lanes] = nearer = _nearer(usual_waves, found, np.array((on_time, members.is_usual)))
        level, pair = beat_families[:, LEVEL], found.shapes[:2, QRS, :, : self._length]
        told = {
            **self._against_usual(lanes, beats, found, members),
            **_of_family(members, found.size[QRS]),
            **self._complexes.describe(pair, level=level, size=found.size[QRS], scale=scale),
            **_of_waves(waves[0, :, : self._waves.lengths[0]], lift[0], nearer[:, 0], found),
        }
        return Described(
            features=[told[name] for name in MORPHOLOGY_FEATURES],
            scale=scale,
            apart=found.shapes[2, QRS, :, : self._length] + (level - members.usual[:, LEVEL])[:, np.newaxis],
        )

    def _as_families(self, beats: FloatArray, early: FloatArray, pause: FloatArray) -> FloatArray:
        families = np.empty((len(beats), SHAPE + self._length), np.float32)
        families[:, SHAPE:], families[:, LEVEL] = about_mean(beats[:, self.qrs])
        families[:, COUNT], families[:, SIZE] = 1, size(families[:, SHAPE:])
        families[:, EARLY], families[:, PAUSE] = early, pause
        return families

    def _usual_waves(self, lanes: IntArray, waves: FloatArray) -> FloatArray:
        """Return the lanes' usual P and T waves, shape (2, b, time): those of a first beat are its own."""
        usual: FloatArray = self._usual.take(lanes, axis=0).swapaxes(0, 1)
        first = np.isnan(usual[0, :, 0])
        if first.any():
            usual[:, first] = waves[:, first]
        return usual

    def _against_usual(
        self, lanes: IntArray, beats: FloatArray, found: Comparison, members: Members
    ) -> dict[str, FloatArray]:
        best = np.where(members.is_usual, members.likeness, found.likeness[QRS])
        odd = (~members.is_usual).nonzero()[0]
        if len(odd):
            moved = beats[odd].take(self._moved, axis=1)
            best[odd] = correlation(moved, members.usual[odd, np.newaxis, SHAPE:]).max(axis=1)
        best = np.maximum(best, found.likeness[QRS])
        unlike = unlikeness(np.array((found.likeness[QRS], best, found.likeness[P], members.likeness)))
        steady = self._learn_steadiness(lanes, unlike[0], found.likeness[P], members.is_usual)
        return {
            "usual_correlation": found.likeness[QRS],
            "usual_amplitude": found.amplitude[QRS],
            "usual_distance": found.distance[QRS],
            "usual_share": members.usual[:, COUNT] / members.total,
            "usual_early": members.usual[:, EARLY],
            "usual_unlikeness": unlike[0],
            "usual_best_unlikeness": unlike[1],
            "usual_steady": steady[:, 0],
            "p_unlikeness": unlike[2],
            "p_steady": steady[:, 1],
            "p_steady_usual": steady[:, 2],
            "family_unlikeness": unlike[3],
        }

    def _learn_steadiness(
        self, lanes: IntArray, usual_unlikeness: FloatArray, p_likeness: FloatArray, is_usual: NDArray[np.bool_]
    ) -> FloatArray:
        """Return how steady the lanes were until now, shape (b, 3), see `_STEADY`."""
        before: FloatArray = self._steady[lanes]
        now = np.array((usual_unlikeness, p_likeness, p_likeness)).T
        self._steady[lanes] = before + np.where(is_usual[:, np.newaxis], _ALL, _ONLY_P) * (now - before)
        return before


def _nearer(usual: FloatArray, found: Comparison, learns: NDArray[np.bool_]) -> FloatArray:
    """Return usual waves, shape (b, 2, time), moved towards those of beats from which they learn, shape (2, b)."""
    apart = found.shapes[2, P:, :, : usual.shape[2]]
    moved: FloatArray = (usual + (_QUICKLY * learns)[:, :, np.newaxis] * apart).swapaxes(0, 1)
    return moved


def _of_family(members: Members, size: FloatArray) -> dict[str, FloatArray]:
    family = members.family
    return {
        "family_likeness": members.likeness,
        "family_share": (family[:, COUNT] - 1) / members.total,
        "family_early": family[:, EARLY],
        "family_pause": family[:, PAUSE],
        "family_amplitude": np.log(size / family[:, SIZE]),
    }


def _of_waves(p_wave: FloatArray, lift: FloatArray, usual_p: FloatArray, found: Comparison) -> dict[str, FloatArray]:
    highest, lowest = np.maximum.reduce(p_wave, axis=1), np.minimum.reduce(p_wave, axis=1)
    return {
        "p_correlation": found.likeness[P],
        "p_amplitude": found.amplitude[P],
        "p_distance": found.distance[P],
        "p_height": highest - lowest,
        "p_highest": highest + lift,
        "p_position": p_wave.argmax(axis=1).astype(np.float32) / np.float32(p_wave.shape[1]),
        "p_usual_height": height(usual_p),
        "t_correlation": found.likeness[T],
        "t_distance": found.distance[T],
    }
