"""Trains the example on NHANES, with scikit-learn and with Keras, and writes everything a conversion needs.

python examples/blood_pressure/train.py
"""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import skops.io
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import GROUPS, calibration_rows, fit_keras, read_table, split, with_groups, write_rows

HERE = Path(__file__).resolve().parent
FACTS = ("age", "weight", "height", "sex")
TRUTH = "systolic"


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for what is written")
    folder = parser.parse_args().out
    train, held_out = split(read_table(HERE / "data" / "nhanes.csv"))
    facts, truth = train[list(FACTS)], train[TRUTH].to_numpy(float)
    model = regression().fit(facts, truth)
    skops.io.dump(model, folder / "blood_pressure.skops", compression=zipfile.ZIP_DEFLATED)
    fit_keras(facts, truth, loss="mse").save(folder / "blood_pressure.keras")
    write_rows(calibration_rows(facts, model.predict(facts)), folder / "calibration.csv")
    write_rows(with_groups(held_out)[[*FACTS, TRUTH, *GROUPS]], folder / "evaluation.csv")
    print(f"trained on {len(train)} people, {len(held_out)} held out: see evaluate.py")


def regression() -> Pipeline:
    """Return the model, not trained."""
    return make_pipeline(StandardScaler(), LinearRegression())


if __name__ == "__main__":
    main()
