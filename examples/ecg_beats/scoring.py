"""EC57 scores of records, and the table of them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ecg_beats.dataset import CLASSES, LabelledRecord
from edge_sdk.ec57 import Beats, Score, annotated_beats, pool, score_record, ventricular_flutter_spans

_WIDTH = 108


def score_classes(record: LabelledRecord, classes: NDArray[np.str_]) -> Score:
    """Score one record's decisions, one per detected beat."""
    return score_record(
        reference=record.reference,
        detected=Beats(samples=record.r_index, classes=classes),
        sample_rate_hz=360.0,
        excluded=record.excluded,
    )


def score_beats(path: Path, times_s: NDArray[np.float64], classes: NDArray[np.str_]) -> Score:
    """Score beats that came from anywhere, by their times since the record's start, against its annotations."""
    annotation = wfdb.rdann(str(path), "atr")
    sample_rate_hz = wfdb.rdheader(str(path)).fs
    order = np.argsort(times_s)
    return score_record(
        reference=annotated_beats(annotation.sample, annotation.symbol),
        detected=Beats(samples=np.rint(times_s[order] * sample_rate_hz).astype(np.int64), classes=classes[order]),
        sample_rate_hz=sample_rate_hz,
        excluded=ventricular_flutter_spans(annotation.sample, annotation.symbol),
    )


def score_export(export: Path, record: Path, *, start_time_ns: int) -> dict[str, Any]:
    """Return the EC57 figures of the beats in a hub's CSV export of one replayed record."""
    with export.open(newline="") as stream:
        beats = [row for row in csv.DictReader(stream) if row["code"] == "beat-class" and row["label"]]
    times_s = np.array([int(row["effective_time_ns"]) - start_time_ns for row in beats]) / 1e9
    return figures(score_beats(record, times_s, np.array([row["label"] for row in beats])))


def figures(score: Score) -> dict[str, float]:
    """Return a score's figures (fractions; NaN where there was nothing to count) under the names scripts rely on."""
    return {
        "r_peak_sensitivity": score.sensitivity,
        "r_peak_ppv": score.positive_predictivity,
        **{f"{name.lower()}_sensitivity": score.class_sensitivity(name) for name in CLASSES},
        **{f"{name.lower()}_ppv": score.class_positive_predictivity(name) for name in CLASSES},
        "accuracy": score.accuracy,
    }


def as_json(scores: dict[str, Score]) -> str:
    """Return each record's figures and the pooled ones; what could not be counted is null."""
    found = {**{name: figures(score) for name, score in scores.items()}, "pooled": figures(pool(scores.values()))}
    plain = {
        name: {key: None if math.isnan(value) else value for key, value in part.items()} for name, part in found.items()
    }
    return json.dumps(plain, indent=2) + "\n"


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
    Console(width=max(console.width, _WIDTH)).print(table)  # as wide where nobody looks: a log, a file


def _cells(score: Score) -> list[str]:
    found: dict[str, Any] = figures(score)
    order = ["r_peak_sensitivity", "r_peak_ppv"]
    order += [f"{name.lower()}_{what}" for name in CLASSES for what in ("sensitivity", "ppv")]
    return ["-" if np.isnan(found[name]) else f"{100 * found[name]:.2f}" for name in (*order, "accuracy")]
