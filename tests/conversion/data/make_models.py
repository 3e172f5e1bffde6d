"""Makes the tiny models of these tests: ``python -m tests.conversion.data.make_models``.

They are kept, because a Keras that only saves them takes longer than most of the tests, and because a trained model
that someone brings is older than the Keras that reads it. Make them with Python 3.10, whose Keras (3.12) is the oldest
that must read them.
"""

from pathlib import Path

import keras

from tests.conversion.conftest import windows

FOLDER = Path(__file__).parent


def inputs() -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the two inputs of the tests' contract."""
    return keras.Input((30, 2), name="waveform"), keras.Input((3,), name="features")


def convolutional() -> keras.Model:
    """Return a trained model that every recipe can convert."""
    waveform, features = inputs()
    shape = keras.layers.Conv1D(4, 5, activation="relu")(waveform)
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(shape), features])
    model = keras.Model([waveform, features], keras.layers.Dense(2, name="logits")(joined))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = windows(200, seed=1)
    labels = data.pop("labels")
    model.fit(data, labels, epochs=20, verbose=0)
    return model


def recurrent() -> keras.Model:
    """Return a model whose int8 conversion crashes the native converter."""
    waveform, features = inputs()
    state = keras.layers.Concatenate()([keras.layers.LSTM(4)(waveform), features])
    return keras.Model([waveform, features], keras.layers.Dense(2, name="logits")(state))


if __name__ == "__main__":
    keras.utils.set_random_seed(1)
    convolutional().save(FOLDER / "tiny.keras")
    recurrent().save(FOLDER / "lstm.keras")
