"""Trains the example on MIT-BIH DS1 and writes everything a conversion needs. Reproducible: fixed seeds, one command.

python examples/ecg_beats/train.py --db DS1_FOLDER
python examples/ecg_beats/train.py --db DS1_FOLDER --cross-validate
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

from ecg_beats.dataset import CLASSES, LabelledRecord, Labels, read_records
from ecg_beats.imagined import all_copies
from ecg_beats.network import EPOCHS, fit, predict
from ecg_beats.scoring import as_json, score_classes, show_scores
from edge_sdk.contracts import ModelContract
from edge_sdk.decisions import probabilities
from edge_sdk.settings import load_toml

HERE = Path(__file__).parent
SEED = 2026
# Patients that are left out together. Those with many ectopic beats are spread over the folds.
FOLDS = (
    ("106", "108", "122", "124", "209"),
    ("119", "207", "220", "230"),
    ("101", "109", "115", "118", "223"),
    ("112", "114", "116", "201", "203", "205", "208", "215"),
)
CALIBRATION_WINDOWS, EVALUATION_WINDOWS = 500, 4000
console = Console()


def main() -> int:
    """Train, or say how the same training does on patients it has not seen."""
    arguments = parse_arguments()
    console.print(f"Finding and describing beats in {arguments.db}")
    records = read_records(arguments.db)
    if not records:
        print(f"error: no annotated WFDB records in {arguments.db}", file=sys.stderr)
        return 2
    with Progress(console=console) as progress:
        if arguments.cross_validate:
            cross_validate(records, progress, arguments.json)
        else:
            train(records, progress, arguments.out)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True, help="folder with the WFDB records of DS1")
    parser.add_argument("--out", type=Path, default=HERE / "ecg_beats.keras", help="the model")
    parser.add_argument("--cross-validate", action="store_true", help="only score patients held out of training")
    parser.add_argument("--json", type=Path, help="the figures of --cross-validate, JSON")
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


def train(records: list[LabelledRecord], progress: Progress, out: Path) -> None:
    """Train on all patients."""
    model = fit(all_copies(records, seed=SEED), seed=SEED, callbacks=[Bar(progress, "all patients")])
    model.save(out)
    write_windows(records, out.parent)
    console.print(f"{out}: {model.count_params()} parameters")


def cross_validate(records: list[LabelledRecord], progress: Progress, out: Path | None) -> None:
    """Train on all but some patients, score those, in turn; patients are never split."""
    contract = load_toml(HERE / "ecg_beats.toml", ModelContract, what="contract")
    patients = all_copies(records, seed=SEED)
    scores = {}
    for number, left_out in enumerate(FOLDS, start=1):
        trained_on = [copies for record, copies in zip(records, patients, strict=True) if record.name not in left_out]
        model = fit(trained_on, seed=SEED, callbacks=[Bar(progress, f"fold {number} of {len(FOLDS)}")])
        for record in records:
            if record.name in left_out:
                chances = probabilities(predict(model, record.features), contract.output)
                scores[record.name] = score_classes(record, np.array(CLASSES)[chances.argmax(axis=1)])
    ordered = dict(sorted(scores.items()))
    show_scores(console, ordered, title="Patients held out of training, EC57")
    if out:
        out.write_text(as_json(ordered))


def write_windows(records: list[LabelledRecord], folder: Path) -> None:
    """Write windows for calibration, and others for holding the compiled model against the float one."""
    features = np.concatenate([record.features for record in records])
    labels = np.concatenate([record.labels for record in records])
    draw = np.random.default_rng(SEED).permutation(spread(labels, CALIBRATION_WINDOWS + EVALUATION_WINDOWS))
    for name, part in (("calibration", draw[:CALIBRATION_WINDOWS]), ("evaluation", draw[CALIBRATION_WINDOWS:])):
        np.savez_compressed(folder / f"{name}.npz", features=features[part].astype(np.float16), labels=labels[part])


def spread(labels: Labels, count: int) -> NDArray[np.int64]:
    """Choose about ``count`` windows: as many of each class as there are, but a third at most."""
    random = np.random.default_rng(SEED)
    groups = [np.flatnonzero(labels == label) for label in range(len(CLASSES))]
    return np.concatenate(
        [random.choice(group, min(len(group), count // len(groups)), replace=False) for group in groups]
    )


if __name__ == "__main__":
    sys.exit(main())
