from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import msgspec
import numpy as np
import pytest

from converters.importers.keras import import_keras
from converters.models import FloatModel
from converters.tensors import run_flatbuffer
from edge_sdk.contracts import InputContract, ModelContract, ModelInput, OutputContract, Standardize
from edge_sdk.preprocessing import apply_step
from tests.conversion.conftest import CONTRACT

# Keras's own way of saving a Normalization layer.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
FACTS = np.random.default_rng(1).normal((50, 170), (15, 9), (300, 2)).astype(np.float32)


def normalization() -> keras.layers.Layer:
    layer = keras.layers.Normalization()
    layer.adapt(FACTS)
    return layer


def functional() -> keras.Model:
    facts = keras.Input((2,), name="facts")
    return keras.Model(facts, keras.layers.Dense(2)(normalization()(facts)))


def sequential() -> keras.Model:
    return keras.Sequential([keras.Input((2,), name="facts"), normalization(), keras.layers.Dense(2)])


def used_twice() -> keras.Model:
    facts = keras.Input((2,), name="facts")
    joined = keras.layers.Concatenate()([normalization()(facts), facts])
    return keras.Model(facts, keras.layers.Dense(2)(joined))


def inverted() -> keras.Model:
    facts = keras.Input((2,), name="facts")
    layer = keras.layers.Normalization(invert=True)
    layer.adapt(FACTS)
    return keras.Model(facts, keras.layers.Dense(2)(layer(facts)))


@pytest.fixture(scope="module")
def contract() -> ModelContract:
    whole = msgspec.toml.decode(CONTRACT, type=ModelContract)
    wanted = ModelInput(name="facts", takes="features", shape=(2,), features=whole.input.features[:2])
    reads = InputContract(signal=whole.input.signal, windows=whole.input.windows, inputs=(wanted,))
    means = OutputContract(name="logits", code=whole.output.code, labels=whole.output.labels, activation="softmax")
    return msgspec.structs.replace(whole, input=reads, output=means)


def imported(make: Callable[[], keras.Model], contract: ModelContract, folder: Path) -> tuple[FloatModel, np.ndarray]:
    """The imported model, and what the Keras model answers to the raw facts."""
    keras.utils.set_random_seed(1)
    made = make()
    made.save(folder / "model.keras")
    return import_keras(folder / "model.keras", contract, folder), made.predict(FACTS, verbose=0)


@pytest.mark.parametrize("make", [functional, sequential])
def test_a_normalization_at_an_input_is_done_before_the_model(
    make: Callable[[], keras.Model], contract: ModelContract, tmp_path: Path
) -> None:
    model, expected = imported(make, contract, tmp_path)

    (step,) = model.contract.input.inputs[0].steps
    assert isinstance(step, Standardize)
    assert step.mean == pytest.approx(FACTS.mean(axis=0), rel=1e-4)
    prepared = {"facts": apply_step(FACTS, step)}
    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, prepared), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(prepared), expected, atol=1e-5)
    assert any("Normalization" in remark for remark in model.remarks)


@pytest.mark.parametrize("make", [used_twice, inverted])
def test_what_is_not_only_a_scaler_of_an_input_stays(
    make: Callable[[], keras.Model], contract: ModelContract, tmp_path: Path
) -> None:
    model, expected = imported(make, contract, tmp_path)

    assert model.contract == contract
    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, {"facts": FACTS}), expected, rtol=1e-5, atol=1e-3)
