"""Scores the example: by cross-validation, on the people held out, and as a bundle on them.

python examples/blood_pressure/evaluate.py
python examples/blood_pressure/evaluate.py --bundle blood_pressure.edge --trust keys/signing.pub
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from tables import GROUPS, SEED, Values, ask_bundle, read_table, split, with_groups

from blood_pressure.train import FACTS, HERE, TRUTH, regression
from converters.importers.sklearn_files import load_estimator

_FOLDS = 5


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a sealed bundle")
    parser.add_argument("--trust", type=Path, help="signing.pub of its maker")
    arguments = parser.parse_args()
    table = read_table(HERE / "data" / "nhanes.csv")
    _, held_out = split(table)
    print(f"{'mm[Hg]':40} {'people':>6} {'R2':>6} {'MAE':>6} {'mean':>6} {'SD':>6}")
    if arguments.bundle:
        answers, recipe = ask_bundle(arguments.bundle, arguments.trust, held_out)
        show(f"{arguments.bundle.name}, {recipe}, held out", held_out, np.array([value.value for value in answers]))
        return
    folds = KFold(_FOLDS, shuffle=True, random_state=SEED)
    show(
        f"scikit-learn, {_FOLDS}-fold",
        table,
        cross_val_predict(regression(), table[list(FACTS)], table[TRUTH], cv=folds),
    )
    estimated = load_estimator(HERE / "blood_pressure.skops")[0].predict(held_out[list(FACTS)])
    show("scikit-learn, held out", held_out, estimated)
    show("Keras, held out", held_out, keras_estimates(held_out))
    for attribute in GROUPS:
        for value, rows in with_groups(held_out).reset_index(drop=True).groupby(attribute, observed=True):
            show(f"  {value}", rows, estimated[rows.index])


def keras_estimates(table: pd.DataFrame) -> Values:
    """Return what the Keras model says."""
    import keras  # noqa: PLC0415  # heavy, and a bundle needs none of it

    model = keras.saving.load_model(HERE / "blood_pressure.keras", compile=False)
    estimated: Values = model.predict(table[list(FACTS)].to_numpy(np.float32), verbose=0)[:, 0]
    return estimated


def show(what: str, table: pd.DataFrame, estimated: Values) -> None:
    """Print one line; an error is the estimate minus the truth."""
    truth = table[TRUTH].to_numpy(float)
    error = estimated - truth
    figures = (np.abs(error).mean(), error.mean(), error.std())
    print(
        f"{what:40} {len(table):6} {r2_score(truth, estimated):6.3f} " + " ".join(f"{value:6.2f}" for value in figures)
    )


if __name__ == "__main__":
    main()
