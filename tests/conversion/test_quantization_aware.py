from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from keras import layers

from converters.models import FloatModel
from converters.optimizers.quantize import quantize_model
from converters.optimizers.recipe import Pruning
from converters.optimizers.training import train_again
from converters.optimizers.training.aware import aware_of_rounding
from converters.optimizers.training.graphs import copied
from converters.optimizers.training.magnitude import kernels_of
from converters.optimizers.training.rounding import RoundedActivations, RoundedWeights, rounded_kernel
from converters.tensors import run_flatbuffer
from edge_sdk.tensors import FloatArray
from tests.conversion.matrix.architectures import keras_models
from tests.conversion.trainable import NOISE, TWO_INPUTS, badly_scaled, imported, recipe, window_set

pytestmark = [NOISE, pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors:UserWarning")]


def in_steps(weights: FloatArray, *, axis: int | tuple[int, ...]) -> FloatArray:
    """Round as LiteRT stores weights: whole numbers from -127 to 127 times one scale for each channel."""
    scale = np.abs(weights).max(axis=axis, keepdims=True) / 127
    stepped: FloatArray = (np.round(weights / scale) * scale).astype(np.float32)
    return stepped


def noise(truth: FloatArray, found: FloatArray) -> float:
    return float(np.mean((truth - found) ** 2))


# --- rounding


def test_each_channel_of_a_kernel_is_rounded_to_255_steps_of_its_own() -> None:
    weights = np.random.default_rng(1).normal(size=(5, 3, 4)).astype(np.float32) * np.geomspace(1, 1e4, 4)
    kernel = keras.Variable(weights.astype(np.float32), name="kernel")

    rounded = np.asarray(rounded_kernel(kernel, channels=4))

    assert rounded == pytest.approx(in_steps(np.asarray(kernel), axis=(0, 1)), rel=1e-5)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0)])
def test_a_tensor_is_rounded_to_256_steps_of_which_one_is_zero(low: float, high: float) -> None:
    rounder = RoundedActivations()
    rounder.set_range(low, high)
    values = np.linspace(-5, 5, 2001, dtype=np.float32)

    rounded = np.asarray(rounder(values))

    step = (max(high, 0.0) - min(low, 0.0)) / 255
    assert len(np.unique(rounded)) == 256
    assert 0.0 in rounded
    assert np.diff(np.unique(rounded)) == pytest.approx(step, rel=1e-3)
    inside = (values > rounded.min()) & (values < rounded.max())
    assert np.abs(rounded - values)[inside].max() <= step / 2 + 1e-5


def test_a_step_of_training_through_rounding_is_the_one_done_by_hand() -> None:
    random = np.random.default_rng(1)
    given, wanted = (random.normal(size=(32, width)).astype(np.float32) for width in (6, 2))
    dense = layers.Dense(2, use_bias=False)
    facts = keras.Input((6,))
    dense.build(facts.shape)
    model = keras.Model(facts, RoundedWeights(dense, per_tensor=False)(facts))
    before = dense.get_weights()[0]
    rate = 0.1
    model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=False)

    model.train_on_batch(given, wanted)

    # The straight-through estimator: the gradient at the rounded weights moves the weights themselves.
    error = given @ in_steps(before, axis=0) - wanted
    gradient = 2 * given.T @ error / error.size
    assert dense.get_weights()[0] == pytest.approx(before - rate * gradient, abs=1e-5)


# --- the twin that rounds


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> FloatModel:
    """A model that int8 alone harms."""
    return imported(badly_scaled(300), TWO_INPUTS, tmp_path_factory.mktemp("harmed"))


@pytest.mark.parametrize("compatible", [False, True])
def test_the_twin_answers_as_the_int8_model_does(harmed: FloatModel, *, compatible: bool) -> None:
    calibration, evaluation = window_set(500, seed=1), window_set(300, seed=2)
    twin = aware_of_rounding(copied(harmed.trainable), per_tensor=compatible)
    wanted = msgspec.structs.replace(recipe(), compatible=compatible)

    twin.calibrate(calibration.inputs)

    rounded = twin.model.predict(evaluation.inputs, verbose=0)
    compiled = run_flatbuffer(quantize_model(harmed, wanted, calibration).data, evaluation.inputs)
    assert noise(compiled, rounded) < noise(compiled, harmed.predict(evaluation.inputs)) / 100


@pytest.mark.parametrize("name", keras_models())
def test_every_architecture_has_a_twin_that_differs_by_rounding_only(name: str) -> None:
    model = copied(keras_models()[name]())
    given = np.random.default_rng(1).normal(size=(64, *model.inputs[0].shape[1:])).astype(np.float32)
    twin = aware_of_rounding(model, per_tensor=False)

    twin.calibrate({"waveform": given})

    answers, rounded = model.predict(given, verbose=0), twin.model.predict(given, verbose=0)
    assert 0 < noise(answers, rounded) < float(np.var(answers)) / 300


def test_normalization_is_not_rounded_apart_from_its_convolution_and_keeps_its_statistics() -> None:
    given = keras.Input((20, 2), name="waveform")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(4, 3)(given)))
    model = keras.Model(given, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    windows = np.random.default_rng(1).normal(size=(64, 20, 2)).astype(np.float32)
    twin = aware_of_rounding(model, per_tensor=False)
    twin.calibrate({"waveform": windows})
    statistics = model.layers[2].get_weights()[2:]

    twin.model.compile("adam", "mse", jit_compile=False)
    twin.model.fit(windows, np.ones((64, 2), np.float32), verbose=0)

    # Of the input, after ReLU, after the mean, and of the answer.
    assert len(twin.rounders) == 4
    assert all(np.array_equal(*pair) for pair in zip(statistics, model.layers[2].get_weights()[2:], strict=True))


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(layers.Dense(3, activation="softmax"), id="inside a layer"),
        pytest.param(lambda x: layers.Activation("softmax")(layers.Dense(3)(x)), id="as an activation"),
        pytest.param(lambda x: layers.Softmax()(layers.Dense(3)(x)), id="as a layer"),
        pytest.param(lambda x: keras.ops.softmax(layers.Dense(3)(x)), id="as an operation"),
    ],
)
def test_probabilities_are_not_rounded_for_a_loss_takes_their_logarithm(last: Callable[[Any], Any]) -> None:
    given = keras.Input((4,), name="facts")
    facts = np.random.default_rng(1).normal(size=(64, 4)).astype(np.float32) * 3
    twin = aware_of_rounding(keras.Model(given, last(given)), per_tensor=False)

    twin.calibrate({"facts": facts})

    answers = twin.model.predict(facts, verbose=0)
    assert answers.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert 0 < answers.min() < 1 / 512  # half a step of what int8 stores


# --- what it is for


def test_training_aware_of_rounding_recovers_what_int8_lost(harmed: FloatModel, tmp_path: Path) -> None:
    windows, evaluation = window_set(1000, seed=1), window_set(500, seed=2)
    decided = harmed.predict(evaluation.inputs).argmax(axis=1)
    unaware, aware = recipe(epochs=5), recipe(epochs=5, quantization_aware=True)

    def agreement(model: FloatModel) -> float:
        answers = run_flatbuffer(quantize_model(model, unaware, windows).data, evaluation.inputs)
        return float((answers.argmax(axis=1) == decided).mean())

    lost = 1 - agreement(train_again(harmed, unaware, windows, tmp_path))
    left = 1 - agreement(train_again(harmed, aware, windows, tmp_path))

    assert lost > 0.05
    assert left < lost / 5


def test_what_is_pruned_stays_pruned_while_it_is_rounded(harmed: FloatModel, tmp_path: Path) -> None:
    told: list[float] = []
    both = recipe(pruning=Pruning(method="magnitude", sparsity=0.5), epochs=2, quantization_aware=True)

    trained = train_again(harmed, both, window_set(200, seed=1), tmp_path, progress=told.append)

    for kernel in kernels_of(trained.trainable):
        assert np.count_nonzero(np.asarray(kernel)) == np.size(kernel) - round(0.5 * np.size(kernel))
    assert told == [0.25, 0.5, 0.75, 1.0]
