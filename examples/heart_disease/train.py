"""Trains the example on the Cleveland data, with scikit-learn and with Keras, and writes everything a conversion needs.

python examples/heart_disease/train.py
"""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import GROUPS, fit_keras, read_table, split, with_groups, write_rows

HERE = Path(__file__).resolve().parent
SIMPLE = ("age", "sex", "resting_pressure", "cholesterol")
ALL = (
    "age",
    "sex",
    "chest_pain",
    "resting_pressure",
    "cholesterol",
    "fasting_sugar_high",
    "resting_ecg",
    "peak_heart_rate",
    "exercise_angina",
    "st_depression",
    "st_slope",
    "vessels",
    "thallium",
)
# By the name of the files: which facts a model takes.
MODELS = {"heart_disease": ALL, "heart_disease_simple": SIMPLE}
TRUTH, LABELS = "label", ("absent", "present")


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for what is written")
    folder = parser.parse_args().out
    train, held_out = split(patients())
    for name, facts in MODELS.items():
        table, ill = train[list(facts)], (train[TRUTH] == LABELS[1]).to_numpy(float)
        model = regression().fit(table, train[TRUTH])
        skops.io.dump(model, folder / f"{name}.skops", compression=zipfile.ZIP_DEFLATED)
        # scikit-learn adds half the sum of the squared weights to the sum of the losses; Keras takes the mean of these.
        fit_keras(table, ill, loss="logistic", penalty=0.5 / len(train)).save(folder / f"{name}.keras")
        write_rows(table, folder / f"{name}_calibration.csv")  # few enough to be given all
        write_rows(with_groups(held_out)[[*facts, TRUTH, *GROUPS]], folder / f"{name}_evaluation.csv")
    print(f"trained on {len(train)} patients, {len(held_out)} held out: see evaluate.py")


def patients() -> pd.DataFrame:
    """Read the data; any narrowing counts as disease, as the literature has it."""
    table = read_table(HERE / "data" / "cleveland.csv")
    return table.assign(label=(table["num"] > 0).map({False: LABELS[0], True: LABELS[1]}))


def regression() -> Pipeline:
    """Return the model, not trained."""
    return make_pipeline(StandardScaler(), LogisticRegression())


if __name__ == "__main__":
    main()
