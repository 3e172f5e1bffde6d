"""Scores the example: by cross-validation, on the patients held out, and as a bundle on them.

python examples/heart_disease/evaluate.py
python examples/heart_disease/evaluate.py --bundle heart_disease.edge --trust keys/signing.pub
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
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tables import SEED, Values, ask_bundle, split, with_groups

from converters.importers.sklearn_files import load_estimator
from heart_disease.train import HERE, LABELS, MODELS, TRUTH, patients, regression

_FOLDS = 5


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a sealed bundle")
    parser.add_argument("--trust", type=Path, help="signing.pub of its maker")
    arguments = parser.parse_args()
    table = patients()
    _, held_out = split(table)
    print(f"{'':44} {'people':>6} {'ill':>4} {'AUC':>6} {'Se %':>6} {'Sp %':>6} {'Brier':>6}")
    if arguments.bundle:
        answers, recipe = ask_bundle(arguments.bundle, arguments.trust, held_out)
        chances = np.array([value.probabilities[LABELS[1]] for value in answers])
        show(f"{arguments.bundle.name}, {recipe}, held out", held_out, chances)
        return
    for name, facts in MODELS.items():
        print(f"{name}: {len(facts)} facts")
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=SEED)
        own = cross_val_predict(regression(), table[list(facts)], table[TRUTH], cv=folds, method="predict_proba")[:, 1]
        show(f"  scikit-learn, {_FOLDS}-fold", table, own)
        estimator, _ = load_estimator(HERE / f"{name}.skops")
        held = estimator.predict_proba(held_out[list(facts)])[:, 1]
        show("  scikit-learn, held out", held_out, held)
        show("  Keras, held out", held_out, keras_chances(name, held_out[list(facts)]))
        for value, rows in with_groups(table).groupby("group_sex"):
            show(f"    {value}, {_FOLDS}-fold", rows, own[rows.index])


def keras_chances(name: str, facts: pd.DataFrame) -> Values:
    """Return the probabilities that the Keras model gives."""
    import keras  # noqa: PLC0415  # heavy, and a bundle needs none of it

    model = keras.saving.load_model(HERE / f"{name}.keras", compile=False)
    logits = model.predict(facts.to_numpy(np.float32), verbose=0)[:, 0].astype(np.float64)
    chances: Values = 1 / (1 + np.exp(-logits))
    return chances


def show(what: str, table: pd.DataFrame, chances: Values) -> None:
    """Print one line: sensitivity and specificity at a probability of one half."""
    ill = (table[TRUTH] == LABELS[1]).to_numpy()
    said = chances > 0.5
    print(
        f"{what:44} {len(table):6} {ill.sum():4} {roc_auc_score(ill, chances):6.3f} "
        f"{100 * said[ill].mean():6.1f} {100 * (~said)[~ill].mean():6.1f} {brier_score_loss(ill, chances):6.3f}"
    )


if __name__ == "__main__":
    main()
