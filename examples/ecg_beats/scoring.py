"""EC57 scores of records, and the table of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ecg_beats.dataset import CLASSES, LabelledRecord
from edge_sdk.ec57 import Beats, Score, annotated_beats, pool, score_record, ventricular_flutter_spans


def score_classes(record: LabelledRecord, outputs: NDArray[np.float32]) -> Score:
    """Score one record's decisions; ``outputs`` is (beats, classes), the largest decides."""
    classes = np.array(CLASSES)[outputs.argmax(axis=1)]
    return score_record(
        reference=record.reference,
        detected=Beats(samples=record.r_index, classes=classes),
        sample_rate_hz=360.0,
        excluded=record.excluded,
    )


def score_beats(path: Path, samples: NDArray[np.int64], classes: NDArray[np.str_]) -> Score:
    """Score beats that came from anywhere against a record's annotations."""
    annotation = wfdb.rdann(str(path), "atr")
    order = np.argsort(samples)
    return score_record(
        reference=annotated_beats(annotation.sample, annotation.symbol),
        detected=Beats(samples=samples[order], classes=classes[order]),
        sample_rate_hz=wfdb.rdheader(str(path)).fs,
        excluded=ventricular_flutter_spans(annotation.sample, annotation.symbol),
    )


def figures(score: Score) -> dict[str, float]:
    """Return a score's figures (fractions; NaN where there was nothing to count) under the names scripts rely on."""
    return {
        "r_peak_sensitivity": score.sensitivity,
        "r_peak_ppv": score.positive_predictivity,
        **{f"{name.lower()}_sensitivity": score.class_sensitivity(name) for name in CLASSES},
        **{f"{name.lower()}_ppv": score.class_positive_predictivity(name) for name in CLASSES},
        "accuracy": score.accuracy,
    }


def show_scores(console: Console, scores: dict[str, Score], *, title: str) -> None:
    """Print each record's figures and the pooled ones."""
    table = Table(title=title)
    for column in ("record", "beats", "R Se", "R +P", "N Se", "N +P", "S Se", "S +P", "V Se", "V +P", "accuracy"):
        table.add_column(column, justify="left" if column == "record" else "right")
    for name, score in scores.items():
        table.add_row(name, str(score.beats), *_cells(score))
    pooled = pool(scores.values())
    table.add_section()
    table.add_row("pooled", str(pooled.beats), *_cells(pooled), style="bold")
    console.print(table)


def _cells(score: Score) -> list[str]:
    found: dict[str, Any] = figures(score)
    order = ["r_peak_sensitivity", "r_peak_ppv"]
    order += [f"{name.lower()}_{what}" for name in CLASSES for what in ("sensitivity", "ppv")]
    return ["-" if np.isnan(found[name]) else f"{100 * found[name]:.2f}" for name in (*order, "accuracy")]
