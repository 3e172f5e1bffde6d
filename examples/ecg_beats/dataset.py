"""Labelled heartbeats from WFDB records, cut by the same code that runs on the device."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
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
CLASSES = ("N", "S", "V")
UNLABELLED = -1
# Shares of a patient's normal beats left out in the copies made for training.
MORE_ECTOPY = (0.6, 0.95)
_BLOCK = 36_000


@dataclass(frozen=True, kw_only=True)
class LabelledRecord:
    """One record's detected beats.

    Attributes:
        name: Of the record.
        r_index: int64 (beats,), sample of each detected R peak.
        waveform: float32 (beats, time, 2).
        features: float32 (beats, features).
        labels: int64 (beats,), index into `CLASSES`, or `UNLABELLED` for other classes and false detections.
        reference: The cardiologists' beats.
        excluded: Ventricular flutter, where beats cannot be told apart.
        filtered: float32 (beats, samples), each beat as the describer gets it.
    """

    name: str
    r_index: NDArray[np.int64]
    waveform: NDArray[np.float32]
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    reference: Beats
    excluded: tuple[Span, ...]
    filtered: NDArray[np.float32]


def record_paths(folder: Path) -> list[Path]:
    """Return the records in a folder that have beat annotations, without extensions, sorted."""
    return sorted(path.with_suffix("") for path in folder.glob("*.hea") if path.with_suffix(".atr").exists())


def read_lead(path: Path) -> NDArray[np.float32]:
    """Return lead MLII in mV, float32 (samples,); the first lead where there is no MLII."""
    names = wfdb.rdheader(str(path)).sig_name
    chosen = names.index(LEAD) if LEAD in names else 0
    samples: NDArray[np.float32] = wfdb.rdrecord(str(path), channels=[chosen]).p_signal[:, 0].astype(np.float32)
    return samples


def read_record(path: Path) -> LabelledRecord:
    """Find a record's beats in its signal and label each with the annotation it matches."""
    annotation = wfdb.rdann(str(path), "atr")
    reference = annotated_beats(annotation.sample, annotation.symbol)
    windower = BeatWindower(sample_rate_hz=SAMPLE_RATE_HZ, before_s=BEFORE_S, after_s=AFTER_S)
    samples = read_lead(path)
    beats = [beat for at in range(0, len(samples), _BLOCK) for beat in windower.push(samples[at : at + _BLOCK])]
    beats += windower.flush()
    r_index = np.array([beat.r_index for beat in beats], np.int64)
    return LabelledRecord(
        name=path.name,
        r_index=r_index,
        waveform=np.stack([beat.waveform for beat in beats]),
        features=np.stack([beat.features for beat in beats]),
        labels=label_beats(r_index, reference),
        reference=reference,
        excluded=ventricular_flutter_spans(annotation.sample, annotation.symbol),
        filtered=filtered_beats(samples, r_index),
    )


def filtered_beats(samples: NDArray[np.float32], r_index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return each beat as the describer gets it, float32 (beats, time)."""
    stream = ecg_filter(SAMPLE_RATE_HZ)
    before, after = round(BEFORE_S * SAMPLE_RATE_HZ), round(AFTER_S * SAMPLE_RATE_HZ)
    filtered = np.concatenate([stream.push(samples), stream.flush()])
    padded = np.pad(filtered, (before, after))
    return np.stack([padded[at : at + before + after] for at in r_index])


def with_more_ectopy(record: LabelledRecord, *, drop: float, seed: int) -> LabelledRecord:
    """Return the patient as if ectopic beats were more frequent, described anew.

    A share of the normal beats that neither follow nor precede an ectopic one is left out, each beat keeping its own
    intervals. What the describer then holds for usual is what it would in a patient with that much ectopy: in DS1 a
    few patients have many ectopic beats, and in none are they the majority.
    """
    ectopic = record.labels > 0
    near = ectopic | np.roll(ectopic, 1) | np.roll(ectopic, -1)
    kept = np.flatnonzero(near | (np.random.default_rng(seed).random(len(near)) >= drop))
    intervals = np.diff(record.r_index) / SAMPLE_RATE_HZ
    before = np.concatenate([[np.nan], intervals])
    after = np.concatenate([intervals, [LONGEST_RR_S]])
    describer = BeatDescriber(sample_rate_hz=SAMPLE_RATE_HZ, r_index=round(BEFORE_S * SAMPLE_RATE_HZ))
    told = [
        describer.describe(record.filtered[at], rr_before_s=float(before[at]), rr_after_s=float(after[at]))
        for at in kept
    ]
    return replace(
        record,
        r_index=record.r_index[kept],
        waveform=np.stack([waveform for waveform, _ in told]),
        features=np.stack([features for _, features in told]),
        labels=record.labels[kept],
        filtered=record.filtered[kept],
    )


def read_records(folder: Path, *, workers: int = 2) -> list[LabelledRecord]:
    """Read every annotated record in a folder."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(read_record, record_paths(folder)))


def expand(records: Sequence[LabelledRecord], *, workers: int = 2) -> list[LabelledRecord]:
    """Return the records and, for each, the same patient with more ectopy; for training only."""
    with ProcessPoolExecutor(workers) as pool:
        return [
            *records,
            *(copy for drop in MORE_ECTOPY for copy in pool.map(partial(with_more_ectopy, drop=drop, seed=1), records)),
        ]


def label_beats(r_index: NDArray[np.int64], reference: Beats) -> NDArray[np.int64]:
    """Return the class index of the nearest annotation within 150 ms of each R peak, or `UNLABELLED`."""
    after = np.searchsorted(reference.samples, r_index).clip(1, len(reference.samples) - 1)
    nearest = np.where(r_index - reference.samples[after - 1] < reference.samples[after] - r_index, after - 1, after)
    close = np.abs(reference.samples[nearest] - r_index) <= MATCH_WINDOW_S * SAMPLE_RATE_HZ
    classes = np.array([CLASSES.index(name) if name in CLASSES else UNLABELLED for name in reference.classes])
    return np.where(close, classes[nearest], UNLABELLED)
