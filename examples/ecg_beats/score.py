"""Scores what arrived at the hub against a record's annotations."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from ecg_beats.dataset import SAMPLE_RATE_HZ
from ecg_beats.scoring import figures, score_beats


def score_export(export: Path, record: Path, *, start_time_ns: int) -> dict[str, Any]:
    """Return the EC57 figures of the beats in a hub's CSV export of one replayed record."""
    with export.open(newline="") as stream:
        beats = [row for row in csv.DictReader(stream) if row["code"] == "beat-class"]
    times_ns = np.array([int(row["effective_time_ns"]) for row in beats], np.int64)
    samples = np.rint((times_ns - start_time_ns) * (SAMPLE_RATE_HZ / 1e9)).astype(np.int64)
    return figures(score_beats(record, samples, np.array([row["label"] for row in beats])))
