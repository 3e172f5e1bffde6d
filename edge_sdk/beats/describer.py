"""What a classifier is told of beats: waveform and features, against all that came before in the same lane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_sdk.beats.morphology import MORPHOLOGY_FEATURES, Described, MorphologyBank
from edge_sdk.beats.rhythm import RHYTHM_FEATURES, RhythmBank
from edge_sdk.beats.units import UNITS
from edge_sdk.tensors import FloatArray, IntArray

FEATURE_NAMES = (*RHYTHM_FEATURES, *MORPHOLOGY_FEATURES)
_COMMON, _SPREAD = np.array([UNITS[name] for name in FEATURE_NAMES], np.float32).T[:, :, np.newaxis]
_TWICE_SPREAD = 2 * _SPREAD
_EARLY, _PAUSE = (RHYTHM_FEATURES.index(name) for name in ("rr_before_to_last_40", "rr_after_to_last_40"))


class BeatDescriberBank:
    """Describes the beats of many patients, a lane each, learning what is usual. Its state is bounded.

    Args:
        sample_rate_hz: Of the beats it is shown.
        r_index: Index of the R peak in each.
        time: Samples of each.
    """

    def __init__(self, *, sample_rate_hz: float, r_index: int, time: int) -> None:
        self._rhythm = RhythmBank()
        self._morphology = MorphologyBank(sample_rate_hz=sample_rate_hz, r_index=r_index, time=time)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; the new ones are fresh."""
        self._rhythm.resize(lanes)
        self._morphology.resize(lanes)

    def reset(self, lanes: IntArray) -> None:
        """Let other patients begin in these lanes."""
        self._rhythm.reset(lanes)
        self._morphology.reset(lanes)

    def describe(
        self,
        lanes: IntArray,
        beats: FloatArray,
        rr_before_s: NDArray[np.float64],
        rr_after_s: NDArray[np.float64],
    ) -> tuple[FloatArray, FloatArray]:
        """Return the waveform and features of the next beat of each of these lanes, and learn from it.

        Args:
            lanes: Shape (b,), no lane twice.
            beats: float32, shape (b, time), filtered, in mV, finite.
            rr_before_s: Seconds since the previous R peak, shape (b,); NaN for the first beat.
            rr_after_s: Seconds to the next R peak, or `LONGEST_RR_S` when none came.

        Returns:
            Waveforms, float32 of shape (b, time / 2, 2), at half the sample rate: the beat, and its difference from
            the usual one around the QRS complex, both in units of the patient's usual QRS height. Features, float32
            of shape (b, features), in the order of `edge_sdk.beats.FEATURE_NAMES`, each within -1 to 1.
        """
        rhythm = self._rhythm.describe(lanes, rr_before_s, rr_after_s)
        shape = self._morphology.describe(lanes, beats, early=rhythm[_EARLY], pause=rhythm[_PAUSE])
        features = np.concatenate([rhythm.ravel(), *shape.features]).reshape(-1, len(lanes))
        features -= _COMMON
        features /= _TWICE_SPREAD
        np.tanh(features, out=features)
        return _waveforms(beats, shape, self._morphology.qrs.start), np.ascontiguousarray(features.T)


class BeatDescriber:
    """Describes one patient's beats, one after another: `BeatDescriberBank` with one lane.

    Args:
        sample_rate_hz: Of the beats it is shown.
        r_index: Index of the R peak in each.
    """

    def __init__(self, *, sample_rate_hz: float, r_index: int) -> None:
        self._rate, self._r_index = sample_rate_hz, r_index
        self._bank: BeatDescriberBank | None = None

    def describe(self, beat: FloatArray, *, rr_before_s: float, rr_after_s: float) -> tuple[FloatArray, FloatArray]:
        """Return the next beat's waveform, shape (time / 2, 2), and features, shape (features,), and learn from it.

        Args:
            beat: float32, shape (time,), filtered, in mV; all of one length.
            rr_before_s: Seconds since the previous R peak; NaN for the first beat.
            rr_after_s: Seconds to the next R peak, or `LONGEST_RR_S` when none came.
        """
        if self._bank is None:
            self._bank = BeatDescriberBank(sample_rate_hz=self._rate, r_index=self._r_index, time=len(beat))
            self._bank.resize(1)
        waveforms, features = self._bank.describe(
            np.zeros(1, np.int64), beat[np.newaxis], np.array([rr_before_s]), np.array([rr_after_s])
        )
        return waveforms[0], features[0]


def _waveforms(beats: FloatArray, shape: Described, qrs_start: int) -> FloatArray:
    scale = shape.scale[:, np.newaxis]
    waveforms = np.zeros((len(beats), (beats.shape[1] + 1) // 2, 2), np.float32)
    waveforms[:, :, 0] = (beats[:, ::2] - _medians(beats)[:, np.newaxis]) / scale
    even = qrs_start % 2
    first, apart = (qrs_start + even) // 2, shape.apart[:, even::2]
    waveforms[:, first : first + apart.shape[1], 1] = apart / scale
    return waveforms


def _medians(beats: FloatArray) -> FloatArray:
    # Of so few samples, sorting all is quicker than finding the middle ones.
    ordered, time = np.sort(beats, axis=1), beats.shape[1]
    medians: FloatArray = (ordered[:, (time - 1) // 2] + ordered[:, time // 2]) / np.float32(2)
    return medians
