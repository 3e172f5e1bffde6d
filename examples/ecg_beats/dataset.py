"""Labelled heartbeats from WFDB records, cut by the same code that runs on the device."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from edge_sdk.beats import BeatWindower
from edge_sdk.ec57 import MATCH_WINDOW_S, Beats, Span, annotated_beats, ventricular_flutter_spans

LEAD = "MLII"
SAMPLE_RATE_HZ = 360.0
BEFORE_S, AFTER_S = 0.25, 0.45
CLASSES = ("N", "S", "V")
UNLABELLED = -1
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
    """

    name: str
    r_index: NDArray[np.int64]
    waveform: NDArray[np.float32]
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    reference: Beats
    excluded: tuple[Span, ...]


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
    )


def read_records(folder: Path, *, workers: int = 2) -> list[LabelledRecord]:
    """Read every annotated record in a folder."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(read_record, record_paths(folder)))


def label_beats(r_index: NDArray[np.int64], reference: Beats) -> NDArray[np.int64]:
    """Return the class index of the nearest annotation within 150 ms of each R peak, or `UNLABELLED`."""
    after = np.searchsorted(reference.samples, r_index).clip(1, len(reference.samples) - 1)
    nearest = np.where(r_index - reference.samples[after - 1] < reference.samples[after] - r_index, after - 1, after)
    close = np.abs(reference.samples[nearest] - r_index) <= MATCH_WINDOW_S * SAMPLE_RATE_HZ
    classes = np.array([CLASSES.index(name) if name in CLASSES else UNLABELLED for name in reference.classes])
    return np.where(close, classes[nearest], UNLABELLED)
