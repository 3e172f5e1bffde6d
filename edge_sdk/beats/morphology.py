"""Shape of a beat's QRS complex against the patient's own, learned while streaming."""

from __future__ import annotations

import numpy as np

from edge_sdk.beats.families import Families, Family, correlation, size, unlikeness
from edge_sdk.beats.waves import WAVE_FEATURES, PWave, TWave
from edge_sdk.tensors import FloatArray

_SMALLEST_MV = 0.1
_ON_TIME = 0.12
_SLOWLY = 0.025
# How far a complex is moved to find where it fits the usual one best: detected R peaks of odd beats are off by as much.
_OFFSETS_S = (-0.011, -0.0055, 0.0, 0.0055, 0.011)

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


class Morphology:
    """Learns a patient's usual beat. Its state is bounded.

    Args:
        sample_rate_hz: Of the beats it is shown.
        r_index: Index of the R peak in each beat.
    """

    def __init__(self, *, sample_rate_hz: float, r_index: int) -> None:
        first, last = (r_index + round(bound * sample_rate_hz) for bound in QRS_S)
        self._rate, self._qrs = sample_rate_hz, slice(max(0, first), last)
        self._offsets = [round(offset * sample_rate_hz) for offset in _OFFSETS_S]
        self._families = Families()
        self._p_wave = PWave(sample_rate_hz=sample_rate_hz, r_index=r_index)
        self._t_wave = TWave(sample_rate_hz=sample_rate_hz, r_index=r_index)
        self._steady = 0.0

    def describe(self, beat: FloatArray, *, early: float, pause: float) -> tuple[FloatArray, FloatArray]:
        """Return a beat's waveform and `MORPHOLOGY_FEATURES`, and learn from it.

        Args:
            beat: float32, shape (time,), filtered, in mV.
            early: Log ratio of the interval before it to the usual one.
            pause: Log ratio of the interval after it to the usual one.

        Returns:
            Waveform, shape (time, 2): the beat, and its difference from the usual one around the QRS complex, both
            in units of the patient's usual QRS height; and the features, float32.
        """
        qrs = beat[self._qrs]
        family, likeness = self._families.sort(qrs)
        if family.count == 0:
            family.learn(qrs, early, pause)
        usual = self._families.largest
        scale = max(float(np.ptp(usual.shape)), _SMALLEST_MV)
        is_usual = family is usual
        features = [
            *self._against_usual(beat, usual, likeness if is_usual else None),
            *self._family(qrs, family, likeness),
            *self._shape(qrs, usual, scale),
            *self._p_wave.describe(beat, scale, usual=is_usual, on_time=is_usual and abs(early) < _ON_TIME),
            *self._t_wave.describe(beat, scale, usual=is_usual),
        ]
        waveform = np.zeros((len(beat), 2), np.float32)
        waveform[:, 0] = (beat - np.median(beat)) / scale
        waveform[self._qrs, 1] = (qrs - usual.shape) / scale
        family.learn(qrs, early, pause)
        self._families.fade()
        return waveform, np.array(features, np.float32)

    def _against_usual(self, beat: FloatArray, usual: Family, likeness: float | None) -> list[float]:
        """Compare with the usual beat; ``likeness`` is given for one of its family."""
        qrs = beat[self._qrs]
        correlates = usual.likeness(qrs)
        best = max(correlates, self._best_likeness(beat, usual) if likeness is None else likeness)
        described = [
            correlates,
            float(np.log(size(qrs) / usual.size)),
            float(np.log1p(size(qrs - usual.shape) / usual.size)),
            usual.count / self._families.total,
            usual.early,
            unlikeness(correlates),
            unlikeness(best),
            self._steady,
        ]
        if likeness is not None:
            self._steady += _SLOWLY * (unlikeness(correlates) - self._steady)
        return described

    def _best_likeness(self, beat: FloatArray, usual: Family) -> float:
        start, stop = self._qrs.start, self._qrs.stop
        moved = (beat[start + offset : stop + offset] for offset in self._offsets if start + offset >= 0)
        return max(correlation(part, usual.shape) for part in moved if len(part) == len(usual.shape))

    def _family(self, qrs: FloatArray, family: Family, likeness: float) -> list[float]:
        share = (family.count - 1) / self._families.total
        amplitude = float(np.log(size(qrs) / family.size))
        return [likeness, share, family.early, family.pause, amplitude, unlikeness(likeness)]

    def _shape(self, qrs: FloatArray, usual: Family, scale: float) -> list[float]:
        width, usual_width = _width_s(qrs, self._rate), _width_s(usual.shape, self._rate)
        return [
            20 * width,
            float(np.log(width / usual_width)),
            float(np.abs(qrs - qrs.mean()).sum() / (size(qrs) * np.sqrt(len(qrs)))),
            float(qrs.max()) / scale,
            float(qrs.min()) / scale,
            float(np.log(_steepest(qrs) / (_steepest(usual.shape) + 1e-6) + 0.02)),
        ]


def _width_s(qrs: FloatArray, sample_rate_hz: float) -> float:
    """Return the standard deviation in time of the complex's slope energy: seconds, never 0."""
    energy = np.diff(qrs) ** 2
    times = np.arange(len(energy)) / sample_rate_hz
    total = float(energy.sum()) + 1e-9
    middle = float(energy @ times) / total
    return float(np.sqrt(energy @ (times - middle) ** 2 / total)) + 1 / sample_rate_hz


def _steepest(qrs: FloatArray) -> float:
    return float(np.abs(np.diff(qrs)).max())
