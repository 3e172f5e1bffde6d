"""Small Keras models to train again, and the windows and contracts that fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from keras import layers

from converters.calibration import WindowSet
from converters.importers.keras import Origin, float_model
from converters.models import FloatModel
from converters.optimizers.recipe import Pruning, Recipe, Training
from edge_sdk.codes import Code
from edge_sdk.contracts import InputContract, ModelContract, ModelInput, OutputContract, OutputQuantity, RecordWindows
from edge_sdk.tensors import FloatArray
from tests.conversion.conftest import CONTRACT, windows

# What TensorFlow's converter says about its own code.
NOISE = pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated")
TWO_INPUTS = msgspec.toml.decode(CONTRACT, type=ModelContract)


def estimating(*, facts: int) -> ModelContract:
    """Return the contract of a model that estimates one quantity from facts."""
    names = tuple(f"fact_{number}" for number in range(facts))
    code = Code(system="urn:test", code="quantity", display="Quantity")
    return ModelContract(
        id="facts",
        version="1.0.0",
        title="A quantity from facts",
        input=InputContract(
            windows=RecordWindows(),
            inputs=(ModelInput(name="facts", takes="features", shape=(facts,), features=names),),
        ),
        output=OutputContract(
            name="answer", code=code, quantities=(OutputQuantity(name="quantity", display="Quantity", unit="1"),)
        ),
    )


def window_set(count: int, *, seed: int) -> WindowSet:
    """Return windows for the tests' model of two inputs."""
    arrays = windows(count, seed=seed)
    return WindowSet(inputs={name: arrays[name] for name in ("waveform", "features")}, labels=arrays["labels"])


def badly_scaled(spread: float) -> keras.Model:
    """Return a trained network of two inputs, whose channels' scales differ by that factor and whose answers do not.

    Where one scale stands for all channels of a tensor, the smallest channels drown in rounding.
    """
    keras.utils.set_random_seed(3)
    waveform, features = keras.Input((30, 2), name="waveform"), keras.Input((3,), name="features")
    x = layers.Conv1D(8, 3, padding="same", activation="relu", name="first")(waveform)
    x = layers.DepthwiseConv1D(5, padding="same", activation="relu", name="deep")(x)
    x = layers.GlobalAveragePooling1D()(layers.Conv1D(8, 1, activation="relu")(x))
    answers = layers.Dense(2, name="logits")(layers.Concatenate()([x, features]))
    model = keras.Model([waveform, features], answers)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    taught = window_set(400, seed=1)
    model.fit(taught.inputs, taught.labels, epochs=20, verbose=0)
    _rescale(model, np.geomspace(1, spread, 8).astype(np.float32))
    return model


def _rescale(model: keras.Model, scales: FloatArray) -> None:
    # ReLU lets a positive factor through: what one layer multiplies by, the next divides by.
    kernel, bias = model.get_layer("first").get_weights()
    model.get_layer("first").set_weights([kernel * scales, bias * scales])
    kernel, bias = model.get_layer("deep").get_weights()
    model.get_layer("deep").set_weights([kernel / scales[:, np.newaxis], bias])


def imported(model: Any, contract: ModelContract, folder: Path) -> FloatModel:
    """Return a Keras model as an importer gives it."""
    return float_model(model, contract, folder, Origin(name="made.keras", sha256="0" * 64, size_bytes=1))


def recipe(*, pruning: Pruning | None = None, **training: Any) -> Recipe:
    """Return a recipe for int8 that trains again."""
    settings = Training(**{"epochs": 3, "batch_size": 32, **training})
    return Recipe(name="test", summary="", weights="int8", activations="int8", pruning=pruning, training=settings)
