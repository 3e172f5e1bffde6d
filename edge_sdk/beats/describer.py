"""What a classifier is told of one beat: waveform and features, against all that came before it."""

from __future__ import annotations

import numpy as np

from edge_sdk.beats.morphology import MORPHOLOGY_FEATURES, Morphology
from edge_sdk.beats.rhythm import RHYTHM_FEATURES, Rhythm
from edge_sdk.beats.units import UNITS
from edge_sdk.tensors import FloatArray

_COMMON, _SPREAD = np.array([UNITS[name] for name in (*RHYTHM_FEATURES, *MORPHOLOGY_FEATURES)], np.float32).T
_EARLY, _PAUSE = (RHYTHM_FEATURES.index(name) for name in ("rr_before_to_last_40", "rr_after_to_last_40"))


class BeatDescriber:
    """Describes a patient's beats one after another, learning what is usual. Its state is bounded.

    Args:
        sample_rate_hz: Of the beats it is shown.
        r_index: Index of the R peak in each.
    """

    def __init__(self, *, sample_rate_hz: float, r_index: int) -> None:
        self._rhythm = Rhythm()
        self._morphology = Morphology(sample_rate_hz=sample_rate_hz, r_index=r_index)

    def describe(self, beat: FloatArray, *, rr_before_s: float, rr_after_s: float) -> tuple[FloatArray, FloatArray]:
        """Return the next beat's waveform and features, and learn from it.

        Args:
            beat: float32, shape (time,), filtered, in mV.
            rr_before_s: Seconds since the previous R peak; NaN for the first beat.
            rr_after_s: Seconds to the next R peak, or `LONGEST_RR_S` when none came.

        Returns:
            Waveform, float32 of shape (time / 2, 2), at half the sample rate: the beat, and its difference from the
            usual one around the QRS complex, both in units of the patient's usual QRS height. Features, float32, in
            the order of `edge_sdk.beats.FEATURE_NAMES`, each within -1 to 1.
        """
        rhythm = self._rhythm.features(rr_before_s, rr_after_s)
        early, pause = float(rhythm[_EARLY]), float(rhythm[_PAUSE])
        waveform, morphology = self._morphology.describe(beat, early=early, pause=pause)
        features = np.concatenate([rhythm, morphology])
        return waveform[::2].copy(), np.tanh((features - _COMMON) / (2 * _SPREAD))
