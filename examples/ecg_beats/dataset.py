"""Labelled heartbeats from WFDB records, cut and described by the same code that runs on the device."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from edge_sdk.beats import BeatDescriber, BeatWindower
from edge_sdk.beats.rhythm import LONGEST_RR_S
from edge_sdk.beats.windower import ecg_filter
from edge_sdk.ec57 import MATCH_WINDOW_S, Beats, Span, annotated_beats, ventricular_flutter_spans

LEAD = "MLII"
SAMPLE_RATE_HZ = 360.0
BEFORE_S, AFTER_S = 0.25, 0.45
BEFORE, AFTER = round(BEFORE_S * SAMPLE_RATE_HZ), round(AFTER_S * SAMPLE_RATE_HZ)
CLASSES = ("N", "S", "V")
UNLABELLED = -1
# Aberrated atrial beats are of class S and look like V: shown as S they cost more V than they gain S.
NOT_TAUGHT = "a"
_BLOCK = 36_000

FloatArray = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabelledRecord:
    """One record's detected beats.

    Attributes:
        name: Of the record.
        r_index: int64 (beats,), sample of each detected R peak.
        beats: float32 (beats, time), each as the describer gets it.
        features: float32 (beats, features).
        labels: int64 (beats,), index into `CLASSES`, or `UNLABELLED`: other classes, false detections, `NOT_TAUGHT`.
        reference: The cardiologists' beats.
        excluded: Ventricular flutter, where beats cannot be told apart.
    """

    name: str
    r_index: NDArray[np.int64]
    beats: FloatArray
    features: FloatArray
    labels: Labels
    reference: Beats
    excluded: tuple[Span, ...]


def record_paths(folder: Path) -> list[Path]:
    """Return the records in a folder that have beat annotations, without extensions, sorted."""
    return sorted(path.with_suffix("") for path in folder.glob("*.hea") if path.with_suffix(".atr").exists())


def read_records(folder: Path, *, workers: int = 2) -> list[LabelledRecord]:
    """Read every annotated record in a folder."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(read_record, record_paths(folder)))


def read_record(path: Path) -> LabelledRecord:
    """Find a record's beats in its signal and label each with the annotation it matches."""
    annotation = wfdb.rdann(str(path), "atr")
    reference = annotated_beats(annotation.sample, annotation.symbol)
    windower = BeatWindower(sample_rate_hz=SAMPLE_RATE_HZ, before_s=BEFORE_S, after_s=AFTER_S)
    samples = read_lead(path)
    beats = [beat for at in range(0, len(samples), _BLOCK) for beat in windower.push(samples[at : at + _BLOCK])]
    beats += windower.flush()
    r_index = np.array([beat.r_index for beat in beats], np.int64)
    labels = label_beats(r_index, reference)
    labels[_near(r_index, annotation.sample[np.array(annotation.symbol) == NOT_TAUGHT])] = UNLABELLED
    return LabelledRecord(
        name=path.name,
        r_index=r_index,
        beats=_filtered_beats(samples, r_index),
        features=np.stack([beat.features for beat in beats]),
        labels=labels,
        reference=reference,
        excluded=ventricular_flutter_spans(annotation.sample, annotation.symbol),
    )


def read_lead(path: Path) -> FloatArray:
    """Return lead MLII in mV, float32 (samples,); the first lead where there is no MLII."""
    names = wfdb.rdheader(str(path)).sig_name
    chosen = names.index(LEAD) if LEAD in names else 0
    samples: FloatArray = wfdb.rdrecord(str(path), channels=[chosen]).p_signal[:, 0].astype(np.float32)
    return samples


def describe(beats: FloatArray, before_s: NDArray[np.float64]) -> FloatArray:
    """Return the features of a patient's consecutive beats, float32 (beats, features).

    Args:
        beats: float32 (beats, time).
        before_s: float64 (beats,), seconds since the previous R peak; NaN for the first.
    """
    describer = BeatDescriber(sample_rate_hz=SAMPLE_RATE_HZ, r_index=BEFORE)
    after_s = np.append(before_s[1:], LONGEST_RR_S)
    told = zip(beats, before_s.tolist(), after_s.tolist(), strict=True)
    return np.stack([describer.describe(beat, rr_before_s=b, rr_after_s=a)[1] for beat, b, a in told])


def label_beats(r_index: NDArray[np.int64], reference: Beats) -> Labels:
    """Return the class index of the nearest annotation within 150 ms of each R peak, or `UNLABELLED`."""
    after = np.searchsorted(reference.samples, r_index).clip(1, len(reference.samples) - 1)
    nearest = np.where(r_index - reference.samples[after - 1] < reference.samples[after] - r_index, after - 1, after)
    close = np.abs(reference.samples[nearest] - r_index) <= MATCH_WINDOW_S * SAMPLE_RATE_HZ
    classes = np.array([CLASSES.index(name) if name in CLASSES else UNLABELLED for name in reference.classes])
    return np.where(close, classes[nearest], UNLABELLED)


def _near(r_index: NDArray[np.int64], samples: NDArray[np.int64]) -> NDArray[np.bool_]:
    distance = np.abs(r_index[:, np.newaxis] - samples)
    near: NDArray[np.bool_] = (distance <= MATCH_WINDOW_S * SAMPLE_RATE_HZ).any(axis=1)
    return near


def _filtered_beats(samples: FloatArray, r_index: NDArray[np.int64]) -> FloatArray:
    stream = ecg_filter(SAMPLE_RATE_HZ)
    padded = np.pad(np.concatenate([stream.push(samples), stream.flush()]), (BEFORE, AFTER))
    return np.stack([padded[at : at + BEFORE + AFTER] for at in r_index])
