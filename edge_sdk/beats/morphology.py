"""Shape of a beat: its QRS complex and P wave against the patient's own, learned while streaming."""

from __future__ import annotations

import numpy as np

from edge_sdk.beats.families import Families, Family, correlation, size
from edge_sdk.tensors import FloatArray

_SMALLEST_MV = 0.1
_ON_TIME = 0.12

MORPHOLOGY_FEATURES = (
    "usual_correlation",
    "usual_amplitude",
    "usual_distance",
    "usual_share",
    "usual_early",
    "family_likeness",
    "family_share",
    "family_early",
    "family_pause",
    "family_amplitude",
    "qrs_width",
    "qrs_width_to_usual",
    "qrs_area",
    "qrs_highest",
    "qrs_lowest",
    "t_area",
    "roughness",
    "p_correlation",
    "p_amplitude",
    "p_distance",
    "p_height",
    "p_highest",
    "p_position",
)

# Spans around the R peak in seconds.
QRS_S = (-0.10, 0.125)
P_S = (-0.25, -0.06)
T_S = (0.15, 0.35)


class Morphology:
    """Learns a patient's usual beat. Its state is bounded.

    Args:
        sample_rate_hz: Of the beats it is shown.
        r_index: Index of the R peak in each beat.
    """

    def __init__(self, *, sample_rate_hz: float, r_index: int) -> None:
        def span(bounds_s: tuple[float, float]) -> slice:
            first, last = (r_index + round(bound * sample_rate_hz) for bound in bounds_s)
            return slice(max(0, first), last)

        self._rate = sample_rate_hz
        self._qrs, self._p, self._t = span(QRS_S), span(P_S), span(T_S)
        self._families = Families()
        self._usual_p: FloatArray | None = None

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
        p_wave = _level(beat[self._p]) / np.float32(scale)
        features = [
            *self._against_usual(qrs, usual),
            *self._family(qrs, family, likeness),
            *self._shape(beat, usual, scale),
            *self._against_usual_p(p_wave, learn=family is usual and abs(early) < _ON_TIME),
        ]
        waveform = np.zeros((len(beat), 2), np.float32)
        waveform[:, 0] = (beat - np.median(beat)) / scale
        waveform[self._qrs, 1] = (qrs - usual.shape) / scale
        family.learn(qrs, early, pause)
        self._families.fade()
        return waveform, np.array(features, np.float32)

    def _against_usual(self, qrs: FloatArray, usual: Family) -> list[float]:
        return [
            usual.likeness(qrs),
            float(np.log(size(qrs) / usual.size)),
            float(np.log1p(size(qrs - usual.shape) / usual.size)),
            usual.count / self._families.total,
            usual.early,
        ]

    def _family(self, qrs: FloatArray, family: Family, likeness: float) -> list[float]:
        share = (family.count - 1) / self._families.total
        return [likeness, share, family.early, family.pause, float(np.log(size(qrs) / family.size))]

    def _shape(self, beat: FloatArray, usual: Family, scale: float) -> list[float]:
        qrs = beat[self._qrs]
        rest = np.abs(np.diff(np.concatenate([beat[: self._qrs.start], beat[self._qrs.stop :]])))
        width, usual_width = _width_s(qrs, self._rate), _width_s(usual.shape, self._rate)
        return [
            20 * width,
            float(np.log(width / usual_width)),
            float(np.abs(qrs - qrs.mean()).sum() / (size(qrs) * np.sqrt(len(qrs)))),
            float(qrs.max()) / scale,
            float(qrs.min()) / scale,
            float(np.median(beat[self._t]) - np.median(beat)) / scale,
            float(np.log(rest.mean() * self._rate / scale + 0.1)),
        ]

    def _against_usual_p(self, p_wave: FloatArray, *, learn: bool) -> list[float]:
        usual = self._usual_p if self._usual_p is not None else p_wave
        height, usual_height = size(p_wave) + 0.05, size(usual) + 0.05
        described = [
            correlation(p_wave, usual),
            float(np.log(height / usual_height)),
            float(np.log1p(size(p_wave - usual) / usual_height)),
            float(np.ptp(p_wave)),
            float(p_wave.max()),
            float(np.argmax(p_wave)) / len(p_wave),
        ]
        if learn or self._usual_p is None:
            self._usual_p = usual + np.float32(0.08) * (p_wave - usual)
        return described


def _width_s(qrs: FloatArray, sample_rate_hz: float) -> float:
    """Return the standard deviation in time of the complex's slope energy: seconds, never 0."""
    energy = np.diff(qrs) ** 2
    times = np.arange(len(energy)) / sample_rate_hz
    total = float(energy.sum()) + 1e-9
    middle = float(energy @ times) / total
    return float(np.sqrt(energy @ (times - middle) ** 2 / total)) + 1 / sample_rate_hz


def _level(part: FloatArray) -> FloatArray:
    """Remove the straight line between the ends."""
    ends = max(1, len(part) // 14)
    line: FloatArray = np.linspace(part[:ends].mean(), part[-ends:].mean(), len(part), dtype=np.float32)
    return part - line
