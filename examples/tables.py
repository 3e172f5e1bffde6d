"""What the examples on tables of facts share: reading, splitting, training in Keras, writing, and asking a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SEED = 2026
HELD_OUT = 0.3
CALIBRATION_ROWS = 500
AGE_BANDS = (0, 40, 60, 200)
GROUPS = ("group_sex", "group_age_band")
_RATE, _STEPS = 0.2, 400  # each step sees the whole table: the minimum is reached, as scikit-learn reaches it

Values = NDArray[np.float64]


def read_table(path: Path) -> pd.DataFrame:
    """Read a table; rows with a missing value are left out, for a device never gives one."""
    return pd.read_csv(path).dropna().reset_index(drop=True)


def split(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the people to train on, and those held out, drawn once and for all."""
    draw = np.random.default_rng(SEED).permutation(len(table))
    held_out = round(HELD_OUT * len(table))
    return table.iloc[draw[held_out:]], table.iloc[draw[:held_out]]


def fit_keras(table: pd.DataFrame, truth: Values, *, loss: str, penalty: float = 0.0) -> Any:
    """Return one dense layer behind a Normalization layer, trained; its output is the quantity, or a logit.

    Args:
        table: The facts, one column each.
        truth: Of each row.
        loss: ``mse``, or ``logistic`` for a truth of 0 or 1.
        penalty: Of the squared weights.
    """
    import keras  # noqa: PLC0415  # heavy, and whoever only evaluates a bundle needs none of it

    keras.utils.set_random_seed(SEED)
    facts = table.to_numpy(np.float32)
    scale = keras.layers.Normalization(name="scale")
    scale.adapt(facts)
    given = keras.Input((facts.shape[1],), name="facts")
    start = keras.initializers.Constant(float(truth.mean()) if loss == "mse" else 0.0)
    weigh = keras.layers.Dense(
        1, bias_initializer=start, kernel_regularizer=keras.regularizers.L2(penalty), name="answer"
    )
    model = keras.Model(given, weigh(scale(given)))
    rate = keras.optimizers.schedules.CosineDecay(_RATE, _STEPS)
    chosen = keras.losses.MeanSquaredError() if loss == "mse" else keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), chosen)
    model.fit(facts, truth.astype(np.float32), batch_size=len(facts), epochs=_STEPS, verbose=0)
    return model


def calibration_rows(facts: pd.DataFrame, answers: Values) -> pd.DataFrame:
    """Return facts for calibration: with the least and the most of each fact and of the model's answer, and others.

    What lies beyond those saturates in an integer model.
    """
    ranged = facts.assign(answers=answers)
    drawn = facts.sample(min(CALIBRATION_ROWS, len(facts)), random_state=SEED).index
    rows = dict.fromkeys([*ranged.idxmin(), *ranged.idxmax(), *drawn])
    return facts.loc[list(rows)[:CALIBRATION_ROWS]]


def write_rows(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV."""
    table.to_csv(path, index=False, lineterminator="\n")


def with_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the groups that every figure must hold in."""
    bands = pd.cut(table["age"], AGE_BANDS, right=False, labels=["under 40", "40-59", "60 and over"])
    return table.assign(group_sex=np.where(table["sex"] == 1, "male", "female"), group_age_band=bands)


def ask_bundle(path: Path, key: Path, table: pd.DataFrame) -> tuple[list[Any], str]:
    """Return what a bundle answers to each row, as a device would, and which recipe it was made by."""
    from device_agents.asking import ask  # noqa: PLC0415  # only for a bundle
    from device_agents.model_store import ready_model  # noqa: PLC0415
    from edge_sdk.bundle import open_bundle  # noqa: PLC0415
    from edge_sdk.signing import load_public_key  # noqa: PLC0415

    manifest = open_bundle(path, trusted=[load_public_key(key)]).manifest
    model = ready_model(path, trusted_keys=[key], hardware=manifest.artifacts[0].targets[0])
    names = manifest.input.features
    return [ask(model, row)[0].value for row in table[list(names)].to_dict("records")], manifest.recipe
