"""Trains the example on MIT-BIH DS1 and writes everything a conversion needs. Reproducible: fixed seeds, one command.

python examples/ecg_beats/train.py --db DS1_FOLDER --out examples/ecg_beats/ecg_beats.keras
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, TaskID

from ecg_beats.dataset import LabelledRecord, expand, read_records
from ecg_beats.network import EPOCHS, Beats, fit, gather, predict
from ecg_beats.scoring import score_classes, show_scores

SEED = 2026
FOLDS = 4
CALIBRATION_WINDOWS, EVALUATION_WINDOWS = 500, 4000
console = Console()


def main() -> int:
    """Train, and say how the same training does on patients it has not seen."""
    arguments = parse_arguments()
    console.print(f"Finding and describing beats in {arguments.db}")
    records = read_records(arguments.db)
    if arguments.cross_validate:
        cross_validate(records)
        return 0
    with Progress(console=console) as progress:
        model = fit(expand(records), epochs=EPOCHS, seed=SEED, callbacks=[Bar(progress, "all records")])
    model.save(arguments.out)
    write_windows(records, arguments.out.parent)
    console.print(f"{arguments.out}: {model.count_params()} parameters")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True, help="folder with the WFDB records of DS1")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "ecg_beats.keras", help="the model")
    parser.add_argument("--cross-validate", action="store_true", help="only score patients held out of training")
    return parser.parse_args()


class Bar(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Shows the epochs."""

    def __init__(self, progress: Progress, what: str) -> None:
        super().__init__()
        self._progress = progress
        self._task: TaskID = progress.add_task(what, total=EPOCHS)

    def on_epoch_end(self, _epoch: int, _logs: object = None) -> None:
        """Advance."""
        self._progress.advance(self._task)


def cross_validate(records: list[LabelledRecord]) -> None:
    """Train on all but some patients, score those, in turn; patients are never split."""
    scores = {}
    with Progress(console=console) as progress:
        for fold in range(FOLDS):
            held_out = records[fold::FOLDS]
            trained_on = expand([record for record in records if record.name not in {r.name for r in held_out}])
            model = fit(trained_on, epochs=EPOCHS, seed=SEED, callbacks=[Bar(progress, f"fold {fold + 1}")])
            for record in held_out:
                scores[record.name] = score_classes(record, predict(model, record.waveform, record.features))
    show_scores(console, dict(sorted(scores.items())), title="Patients held out of training, EC57")


def write_windows(records: list[LabelledRecord], folder: Path) -> None:
    """Write windows for calibration, and others for holding the compiled model against the float one."""
    beats = gather(records)
    chosen = spread(beats, CALIBRATION_WINDOWS + EVALUATION_WINDOWS)
    draw = np.random.default_rng(SEED).permutation(chosen)
    for name, part in (("calibration", draw[:CALIBRATION_WINDOWS]), ("evaluation", draw[CALIBRATION_WINDOWS:])):
        np.savez_compressed(
            folder / f"{name}.npz",
            waveform=beats.waveform[part].astype(np.float16),
            features=beats.features[part].astype(np.float16),
            labels=beats.labels[part],
        )


def spread(beats: Beats, count: int) -> NDArray[np.int64]:
    """Choose about ``count`` windows: as many of each class as there are, but a third at most."""
    random = np.random.default_rng(SEED)
    groups = [np.flatnonzero(beats.labels == label) for label in np.unique(beats.labels)]
    return np.concatenate(
        [random.choice(group, min(len(group), count // len(groups)), replace=False) for group in groups]
    )


if __name__ == "__main__":
    sys.exit(main())
