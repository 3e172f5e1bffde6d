"""Shape of a beat: its QRS complex and P wave against the patient's own, learned while streaming.

No label is needed: most beats of a patient look alike, and what looks otherwise stands out. The idea of a patient's
running template goes back to the Argus system (F. M. Nolle, Comput Cardiol 1972).
"""

from __future__ import annotations

from collections import deque

import numpy as np

from edge_sdk.tensors import FloatArray

_AMPLITUDE_BEATS = 31
_FAMILIES = 8
_ALIKE = 0.9
_FORGET_AFTER = 300
_SHIFT_S = 0.017
_TINY = 1e-3

MORPHOLOGY_FEATURES = (
    "qrs_correlation",
    "qrs_amplitude",
    "qrs_distance",
    "qrs_width",
    "qrs_area",
    "qrs_highest",
    "qrs_lowest",
    "family_similarity",
    "family_share",
    "largest_family_share",
    "p_correlation",
    "p_amplitude",
    "p_distance",
    "p_height",
    "p_highest",
    "p_position",
)

# Spans around the R peak in seconds: the QRS complex, and where the P wave is looked for.
QRS_S = (-0.10, 0.125)
P_S = (-0.25, -0.06)


class Morphology:
    """Learns a patient's usual beat. Its state is bounded.

    Args:
        sample_rate_hz: Of the beats it is shown.
        r_index: Index of the R peak in each beat.
    """

    def __init__(self, *, sample_rate_hz: float, r_index: int) -> None:
        rate = sample_rate_hz
        self._rate, self._shift = rate, max(1, round(_SHIFT_S * rate))
        self._qrs = slice(r_index + round(QRS_S[0] * rate), r_index + round(QRS_S[1] * rate))
        self._p = slice(max(0, r_index + round(P_S[0] * rate)), r_index + round(P_S[1] * rate))
        self._amplitudes: deque[float] = deque(maxlen=_AMPLITUDE_BEATS)
        self._usual: FloatArray | None = None
        self._usual_p: FloatArray | None = None
        self._families: list[tuple[FloatArray, float]] = []

    def describe(self, beat: FloatArray, *, on_time: bool) -> tuple[FloatArray, FloatArray]:
        """Return a beat's waveform and `MORPHOLOGY_FEATURES`, and learn from it.

        Args:
            beat: float32, shape (time,), filtered, in mV.
            on_time: Whether it came about when expected, so that its P wave is the usual one.

        Returns:
            Waveform, shape (time, 2): the beat, and its difference from the usual one around the QRS complex, both
            in units of the patient's usual QRS height; and the features, float32.
        """
        scale = self._scale(beat)
        scaled = (beat - np.median(beat)) / scale
        if self._usual is None or self._usual_p is None:
            self._usual, self._usual_p = scaled[self._qrs].copy(), _level(scaled[self._p])
        waveform = np.zeros((len(beat), 2), np.float32)
        waveform[:, 0] = scaled
        waveform[self._qrs, 1] = scaled[self._qrs] - self._usual
        qrs, likeness = self._describe_qrs(scaled)
        family = self._describe_family(scaled[self._qrs])
        p_wave = self._describe_p(_level(scaled[self._p]), learn=on_time and likeness > _ALIKE)
        return waveform, np.array([*qrs, *family, *p_wave], np.float32)

    def _scale(self, beat: FloatArray) -> float:
        self._amplitudes.append(float(np.ptp(beat[self._qrs])))
        return max(float(np.median(self._amplitudes)), 0.05)

    def _describe_qrs(self, scaled: FloatArray) -> tuple[list[float], float]:
        assert self._usual is not None  # noqa: S101  # set by the first beat
        qrs, usual = scaled[self._qrs], self._usual
        likeness = max(
            _correlation(scaled[self._qrs.start + shift : self._qrs.stop + shift], usual)
            for shift in range(-self._shift, self._shift + 1, max(1, self._shift // 3))
        )
        centred, size, usual_size = qrs - qrs.mean(), _norm(qrs), _norm(usual)
        slopes = np.abs(np.diff(qrs))
        width = float((slopes > slopes.max() / 4).sum()) / self._rate
        described = [
            likeness,
            float(np.log(size / usual_size)),
            float(np.log1p(_norm(qrs - usual) / usual_size)),
            10 * width,
            float(np.abs(centred).sum() / (size * np.sqrt(len(qrs)))),
            float(qrs.max()),
            float(qrs.min()),
        ]
        weight = 0.06 if likeness > _ALIKE - 0.05 else 0.01
        self._usual = usual + weight * (qrs - usual)
        return described, likeness

    def _describe_family(self, qrs: FloatArray) -> list[float]:
        """Sort the beat into the family it resembles most, or a new one."""
        total = sum(count for _, count in self._families) + 1
        likeness = [_correlation(qrs, shape) for shape, _ in self._families]
        best = int(np.argmax(likeness)) if likeness else -1
        belongs = best >= 0 and likeness[best] > _ALIKE
        share = self._families[best][1] / total if belongs else 0.0
        largest = max((count for _, count in self._families), default=0.0) / total
        if belongs:
            shape, count = self._families[best]
            self._families[best] = (shape + 0.1 * (qrs - shape), count + 1)
        else:
            self._found_family(qrs)
        if total > _FORGET_AFTER:
            self._families = [(shape, count / 2) for shape, count in self._families]
        return [max(likeness, default=0.0), share, largest]

    def _found_family(self, qrs: FloatArray) -> None:
        if len(self._families) == _FAMILIES:
            self._families.pop(int(np.argmin([count for _, count in self._families])))
        self._families.append((qrs.copy(), 1.0))

    def _describe_p(self, p_wave: FloatArray, *, learn: bool) -> list[float]:
        assert self._usual_p is not None  # noqa: S101  # set by the first beat
        usual = self._usual_p
        size, usual_size = _norm(p_wave) + 0.05, _norm(usual) + 0.05
        described = [
            _correlation(p_wave, usual),
            float(np.log(size / usual_size)),
            float(np.log1p(_norm(p_wave - usual) / usual_size)),
            float(np.ptp(p_wave)),
            float(p_wave.max()),
            float(np.argmax(p_wave)) / len(p_wave),
        ]
        if learn:
            self._usual_p = usual + 0.08 * (p_wave - usual)
        return described


def _level(part: FloatArray) -> FloatArray:
    """Remove the straight line between the ends."""
    ends = max(1, len(part) // 14)
    line: FloatArray = np.linspace(part[:ends].mean(), part[-ends:].mean(), len(part), dtype=np.float32)
    return part - line


def _norm(part: FloatArray) -> float:
    return float(np.linalg.norm(part - part.mean())) + _TINY


def _correlation(a: FloatArray, b: FloatArray) -> float:
    return float((a - a.mean()) @ (b - b.mean())) / (_norm(a) * _norm(b))
