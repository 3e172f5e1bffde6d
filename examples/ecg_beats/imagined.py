"""Patients that DS1 does not have, made of those it has: more ectopy, runs, a sick sinus, atrial fibrillation.

DS1's supraventricular beats come from a few patients, and in none of them are they the majority. What a classifier
must learn from them is that such a beat has the patient's usual QRS complex, comes early, and follows another P wave,
however often it comes. So some normal beats are moved in time and given another P wave, and the patient is described
anew: what the describer then holds for usual is what it would in such a patient. For training only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ecg_beats.dataset import BEFORE, CLASSES, SAMPLE_RATE_HZ, FloatArray, LabelledRecord, Labels, describe

_NORMAL, _SUPRAVENTRICULAR = CLASSES.index("N"), CLASSES.index("S")
# The P wave's span: from the window's start to 60 ms before the R peak.
_P_END = BEFORE - round(0.06 * SAMPLE_RATE_HZ)
_QRS_START = BEFORE - round(0.03 * SAMPLE_RATE_HZ)
_SHORTEST_S = 0.26
_FIRST_S = 0.8


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A patient for training.

    Attributes:
        features: float32 (beats, features).
        labels: int64 (beats,).
        weight: How much this copy counts beside the others of the same patient.
    """

    features: FloatArray
    labels: Labels
    weight: float


class Patient:
    """A record's beats, to be changed.

    Attributes:
        beats: float32 (beats, time).
        before_s: Seconds since the previous R peak, float64 (beats,).
        labels: int64 (beats,).
        usual_s: The usual interval around each beat, float64 (beats,).
        free: Whether a beat is normal, between normal ones, and so may be changed.
    """

    def __init__(self, record: LabelledRecord, draw: np.random.Generator) -> None:
        self.draw, self._original = draw, record.beats
        self.beats, self.labels = record.beats.copy(), record.labels.copy()
        intervals_s = np.diff(record.r_index) / SAMPLE_RATE_HZ
        self.before_s = np.concatenate([[_FIRST_S], intervals_s])
        self.usual_s = np.array([np.median(self.before_s[max(0, at - 10) : at + 10]) for at in range(len(self.beats))])
        normal = record.labels == _NORMAL
        self.free = normal & np.roll(normal, 1) & np.roll(normal, -1)
        self.free[:2] = self.free[-2:] = False
        # In some patients ectopic beats begin so near the sinus node that their P wave looks the same.
        self._p_gain, self._p_shift = 1.0, 0
        if draw.random() > 0.4:
            self._p_gain, self._p_shift = draw.uniform(-1, 0.8), int(draw.integers(-8, 9))

    def make_supraventricular(self, at: int, before_s: float) -> None:
        """Make a beat come that long after its predecessor, from elsewhere in the atria."""
        self.before_s[at], self.labels[at] = max(before_s, _SHORTEST_S), _SUPRAVENTRICULAR
        own = _levelled(self.beats[at, :_P_END])
        self._replace_p_wave(at, np.roll(own, self._p_shift) * np.float32(self._p_gain))
        self._lay_over_t_wave(at)

    def make_fibrillating(self, at: int, before_s: float, *, amplitude_mv: float, rate_hz: float) -> None:
        """Make a beat come irregularly, with fibrillatory waves in place of the P wave."""
        self.before_s[at] = max(before_s, 0.3)
        times_s = np.arange(_P_END) / SAMPLE_RATE_HZ
        phase = self.draw.uniform(0, 2 * np.pi)
        self._replace_p_wave(at, (amplitude_mv * np.sin(2 * np.pi * rate_hz * times_s + phase)).astype(np.float32))

    def _replace_p_wave(self, at: int, wave: FloatArray) -> None:
        inside = np.minimum(np.arange(_P_END), np.arange(_P_END)[::-1])
        taper = np.minimum(1, inside / 8).astype(np.float32)
        self.beats[at, :_P_END] += taper * (wave - _levelled(self.beats[at, :_P_END]))

    def _lay_over_t_wave(self, at: int) -> None:
        """Add what the previous beat still does when an early one begins: their P wave lies on its T wave."""
        previous = self._original[at - 1]
        times = np.arange(_QRS_START)
        there = round(self.before_s[at] * SAMPLE_RATE_HZ) + times
        covered = (there < len(previous) - 1) & (there > BEFORE + 60)
        self.beats[at, times[covered]] += previous[there[covered]] - np.median(previous[-8:])


def premature_beats(patient: Patient) -> None:
    """Single early beats, followed by a pause or none."""
    draw, at = patient.draw, 2
    while at < len(patient.beats) - 3:
        if patient.free[at] and patient.free[at + 1] and draw.random() < 0.08:
            patient.make_supraventricular(at, patient.usual_s[at] * draw.uniform(0.5, 0.87))
            patient.before_s[at + 1] = patient.usual_s[at] * draw.uniform(0.95, 1.35)
            at += 1
        at += 1


def tachycardia(patient: Patient) -> None:
    """Runs of early beats, up to some fifty long."""
    draw, at = patient.draw, 2
    while at < len(patient.beats) - 3:
        if patient.free[at] and draw.random() < 0.06:
            faster = draw.uniform(0.45, 0.78)
            first = faster * draw.uniform(0.95, 1.25)
            length = int(np.exp(draw.uniform(0, 4)))
            at = _run(
                patient, at, length, lambda n, f=faster, s=first: (s if n == 0 else f) * np.exp(draw.normal(0, 0.05))
            )
            patient.before_s[at] = patient.usual_s[at] * draw.uniform(0.95, 1.7)
        at += 1


def sick_sinus(patient: Patient) -> None:
    """A sinus node so slow that the atria take over: long intervals, and beats from elsewhere after each."""
    draw, at = patient.draw, 2
    slower, mean_length = draw.uniform(1.2, 2.4), draw.uniform(1, 5)
    while at < len(patient.beats) - 3:
        length, faster = min(1 + draw.geometric(1 / mean_length), 12), draw.uniform(0.75, 1.1)
        if patient.free[at]:
            patient.before_s[at] = patient.usual_s[at] * slower * np.exp(draw.normal(0, 0.12))
            at += 1
        at = _run(
            patient,
            at,
            length,
            lambda n, f=faster: f * np.exp(draw.normal(0, 0.08)) * (1 if n else draw.uniform(0.85, 1.1)),
        )
        while at < len(patient.beats) - 3 and not patient.free[at]:
            at += 1


def fibrillation(patient: Patient) -> None:
    """Atrial fibrillation: no P waves, and every interval another, all of it normal by EC57."""
    draw = patient.draw
    usual_s, spread = np.median(patient.before_s), draw.uniform(0.12, 0.28)
    height_mv = np.ptp(np.median(patient.beats[patient.labels == _NORMAL][:200], axis=0))
    amplitude_mv, rate_hz = height_mv * draw.uniform(0, 0.06), draw.uniform(4, 8)
    for at in np.flatnonzero(patient.labels[2:-2] == _NORMAL) + 2:
        before_s = usual_s * np.exp(draw.normal(0, spread))
        patient.make_fibrillating(at, before_s, amplitude_mv=amplitude_mv, rate_hz=rate_hz + draw.normal(0, 0.5))


def _run(patient: Patient, at: int, length: int, ratio: Callable[[int], float]) -> int:
    """Make consecutive free beats supraventricular and return where that ended."""
    for n in range(length):
        if at >= len(patient.beats) - 3 or not patient.free[at]:
            break
        patient.make_supraventricular(at, patient.usual_s[at] * ratio(n))
        at += 1
    return at


# What is done to each patient, and how much the copy counts.
IMAGINED: tuple[tuple[Callable[[Patient], None], float], ...] = (
    (premature_beats, 0.3),
    (tachycardia, 0.3),
    (sick_sinus, 0.2),
    (fibrillation, 0.3),
)
# Shares of a patient's normal beats that are left out, to make ectopy more frequent.
FEWER_NORMAL = (0.6, 0.95)


def with_fewer_normal(record: LabelledRecord, draw: np.random.Generator, *, drop: float) -> Copy:
    """Leave out a share of the normal beats that are no neighbours of ectopic ones; each beat keeps its intervals."""
    ectopic = record.labels > _NORMAL
    near = ectopic | np.roll(ectopic, 1) | np.roll(ectopic, -1)
    kept = np.flatnonzero(near | (draw.random(len(near)) >= drop))
    before_s = np.concatenate([[_FIRST_S], np.diff(record.r_index) / SAMPLE_RATE_HZ])
    return Copy(features=describe(record.beats[kept], before_s[kept]), labels=record.labels[kept], weight=1.0)


def copies(record: LabelledRecord, *, seed: int) -> list[Copy]:
    """Return a patient as it is, and as it might have been."""
    draw = np.random.default_rng([seed, *record.name.encode()])
    made = [Copy(features=record.features, labels=record.labels, weight=1.0)]
    made += [with_fewer_normal(record, draw, drop=drop) for drop in FEWER_NORMAL]
    for change, weight in IMAGINED:
        patient = Patient(record, draw)
        change(patient)
        made.append(Copy(features=describe(patient.beats, patient.before_s), labels=patient.labels, weight=weight))
    return made


def all_copies(records: Sequence[LabelledRecord], *, seed: int, workers: int = 2) -> list[list[Copy]]:
    """Return the copies of each record."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(partial(copies, seed=seed), records))


def _levelled(part: NDArray[np.float32]) -> FloatArray:
    line = np.linspace(part[:5].mean(), part[-5:].mean(), len(part), dtype=np.float32)
    return part - line
