"""The network, and how it is fitted: small, on features alone, and trained so that every patient counts.

A branch on the waveform was tried and left out: on patients held out of training it made supraventricular beats worse,
because what such a beat looks like differs from patient to patient, and what the features say does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from ecg_beats.dataset import CLASSES, UNLABELLED, FloatArray, Labels
from ecg_beats.imagined import Copy

BATCH = 512
STEPS_PER_EPOCH = 75
EPOCHS = 20
HIDDEN = (64, 32)
# Added to each feature while training; most spread by about half a unit.
NOISE = 0.1
# How often each class is shown.
CLASS_SHARES = {"N": 0.5, "S": 0.25, "V": 0.25}


def gather(patients: Sequence[Sequence[Copy]]) -> tuple[FloatArray, Labels, NDArray[np.float64]]:
    """Put the labelled beats of all copies together, with how often to show each (summing to 1).

    Within a class a copy counts by the square root of its beats and its weight, so one patient does not speak for all.
    """
    features, labels, chances = [], [], []
    for copy in (copy for patient in patients for copy in patient):
        kept = copy.labels != UNLABELLED
        counts = np.bincount(copy.labels[kept], minlength=len(CLASSES))
        features.append(copy.features[kept])
        labels.append(copy.labels[kept])
        chances.append(copy.weight * counts[copy.labels[kept]] ** -0.5)
    together = np.concatenate(labels)
    chance = np.concatenate(chances)
    for label, name in enumerate(CLASSES):
        chance[together == label] *= CLASS_SHARES[name] / chance[together == label].sum()
    return np.concatenate(features), together, chance


def build(count: int) -> keras.Model:
    """Return an untrained network for that many features."""
    features = keras.Input((count,), name="features")
    x = layers.Dropout(0.15)(layers.GaussianNoise(NOISE)(features))
    for units in HIDDEN:
        x = layers.Dropout(0.2)(layers.Dense(units, activation="relu")(x))
    return keras.Model(features, layers.Dense(len(CLASSES), name="logits")(x), name="ecg_beats")


class Draws(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches in which each beat comes as often as it should."""

    def __init__(self, features: FloatArray, labels: Labels, chances: NDArray[np.float64], *, seed: int) -> None:
        super().__init__()
        self._features, self._labels = features, labels
        self._chosen = np.random.default_rng(seed).choice(len(labels), (EPOCHS, STEPS_PER_EPOCH, BATCH), p=chances)
        self._epoch = 0

    def __len__(self) -> int:
        return STEPS_PER_EPOCH

    def __getitem__(self, index: int) -> tuple[FloatArray, Labels]:
        chosen = self._chosen[self._epoch, index]
        return self._features[chosen], self._labels[chosen]

    def on_epoch_end(self) -> None:
        """Go on to the next draws."""
        self._epoch = (self._epoch + 1) % EPOCHS


def fit(patients: Sequence[Sequence[Copy]], *, seed: int, callbacks: Sequence[Any] = ()) -> keras.Model:
    """Train a network on some patients' copies, reproducibly."""
    keras.utils.set_random_seed(seed)
    features, labels, chances = gather(patients)
    model = build(features.shape[1])
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * STEPS_PER_EPOCH)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.02, use_ema=True, ema_momentum=0.99),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    draws = Draws(features, labels, chances, seed=seed)
    model.fit(draws, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=list(callbacks))
    return model


def predict(model: keras.Model, features: FloatArray) -> FloatArray:
    """Return logits, float32 (n, classes), for features of shape (n, features)."""
    logits: FloatArray = np.asarray(model.predict(features, batch_size=4096, verbose=0), np.float32)
    return logits
