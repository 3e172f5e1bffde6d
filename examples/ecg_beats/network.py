"""The network, and how it is fitted: small, two inputs, and trained so that every patient counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from ecg_beats.dataset import CLASSES, UNLABELLED, LabelledRecord
from edge_sdk.beats import FEATURE_NAMES

FloatArray = NDArray[np.float32]
BATCH = 512
STEPS_PER_EPOCH = 80
EPOCHS = 15
# How much each class is shown: as often as its square root in every record asks, and then in these shares.
CLASS_SHARES = {"N": 1.0, "S": 0.6, "V": 0.6}
# Intervals in seconds vary with age and fitness; the ratios do not.
_ABSOLUTE_INTERVALS = [FEATURE_NAMES.index(name) for name in ("rr_before", "rr_typical")]


@dataclass(frozen=True, kw_only=True)
class Beats:
    """Labelled beats of several records: waveform (n, time, 2), features (n, k), labels (n,), record index (n,)."""

    waveform: FloatArray
    features: FloatArray
    labels: NDArray[np.int64]
    record: NDArray[np.int64]


def gather(records: Sequence[LabelledRecord]) -> Beats:
    """Put the labelled beats of several records together."""
    kept = [record.labels != UNLABELLED for record in records]
    return Beats(
        waveform=np.concatenate([r.waveform[k] for r, k in zip(records, kept, strict=True)]),
        features=np.concatenate([r.features[k] for r, k in zip(records, kept, strict=True)]),
        labels=np.concatenate([r.labels[k] for r, k in zip(records, kept, strict=True)]),
        record=np.concatenate([np.full(k.sum(), index) for index, k in enumerate(kept)]),
    )


def build(features: FloatArray) -> keras.Model:
    """Return an untrained network whose feature input is normalized by the given training features."""
    waveform = keras.Input((126, 2), name="waveform")
    rhythm = keras.Input((features.shape[1],), name="features")
    shape = waveform
    for filters, width, pool in ((12, 7, 2), (16, 5, 2), (24, 5, 3)):
        shape = layers.Conv1D(filters, width, padding="same", use_bias=False)(shape)
        shape = layers.BatchNormalization()(shape)
        shape = layers.ReLU()(shape)
        shape = layers.MaxPooling1D(pool)(shape)
        shape = layers.SpatialDropout1D(0.15)(shape)
    shape = layers.Dropout(0.4)(layers.Flatten()(shape))
    shape = layers.Dense(12, activation="relu")(shape)
    scaled = layers.Normalization(mean=features.mean(0), variance=(features.std(0) + 0.05) ** 2)(rhythm)
    scaled = layers.Dense(24, activation="relu")(layers.Dropout(0.1)(scaled))
    joined = layers.Dense(24, activation="relu")(layers.Concatenate()([shape, scaled]))
    logits = layers.Dense(len(CLASSES), name="logits")(layers.Dropout(0.3)(joined))
    return keras.Model([waveform, rhythm], logits, name="ecg_beats")


def sampling(beats: Beats) -> NDArray[np.float64]:
    """Return how often to show each beat, shape (n,), summing to 1.

    Within a class a record counts by the square root of its beats, so one patient does not speak for all.
    """
    chances = np.zeros(len(beats.labels))
    for label, name in enumerate(CLASSES):
        of_class = beats.labels == label
        for record in np.unique(beats.record[of_class]):
            chosen = of_class & (beats.record == record)
            chances[chosen] = chosen.sum() ** -0.5
        chances[of_class] *= CLASS_SHARES[name] / max(chances[of_class].sum(), 1e-9)
    normalized: NDArray[np.float64] = chances / chances.sum()
    return normalized


class Augmented(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches drawn by `sampling`, varied as other patients, sensors and detections vary."""

    def __init__(self, beats: Beats, *, seed: int) -> None:
        super().__init__()
        self._beats, self._chances = beats, sampling(beats)
        self._random = np.random.default_rng(seed)

    def __len__(self) -> int:
        return STEPS_PER_EPOCH

    def __getitem__(self, _index: int) -> tuple[tuple[FloatArray, FloatArray], NDArray[np.int64]]:
        chosen = self._random.choice(len(self._chances), BATCH, p=self._chances)
        waveform = self._vary_waveform(self._beats.waveform[chosen])
        features = self._vary_features(self._beats.features[chosen])
        return (waveform, features), self._beats.labels[chosen]

    def _vary_waveform(self, waveform: FloatArray) -> FloatArray:
        draw, (count, time, _) = self._random, waveform.shape
        shifted = (np.arange(time) - draw.integers(-2, 3, count)[:, np.newaxis]).clip(0, time - 1)
        varied = np.take_along_axis(waveform, shifted[:, :, np.newaxis], axis=1)
        varied = varied * np.exp(draw.normal(0, 0.15, (count, 1, 1)))
        varied[:, :, 0] += draw.normal(0, 0.05, (count, 1))
        return (varied + draw.normal(0, 0.02, varied.shape)).astype(np.float32)

    def _vary_features(self, features: FloatArray) -> FloatArray:
        draw = self._random
        varied = features + draw.normal(0, 0.03, features.shape)
        varied[:, _ABSOLUTE_INTERVALS] += draw.normal(0, 0.2, (len(features), 1))
        return varied.astype(np.float32)


def fit(records: Sequence[LabelledRecord], *, epochs: int, seed: int, callbacks: Sequence[Any] = ()) -> keras.Model:
    """Train a network on some records, reproducibly."""
    keras.utils.set_random_seed(seed)
    beats = gather(records)
    model = build(beats.features)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * STEPS_PER_EPOCH)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.02, use_ema=True, ema_momentum=0.995),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(Augmented(beats, seed=seed), epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


def predict(model: keras.Model, waveform: FloatArray, features: FloatArray) -> FloatArray:
    """Return logits, float32 (n, classes)."""
    inputs = {"waveform": waveform, "features": features}
    logits: FloatArray = np.asarray(model.predict(inputs, batch_size=4096, verbose=0), np.float32)
    return logits
