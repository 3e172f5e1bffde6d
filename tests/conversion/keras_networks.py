"""Small Keras networks of every kind, with random weights."""

from __future__ import annotations

import keras
from keras import layers

LINE, STEPS, IMAGE, TABLE, CLASSES = (48, 2), (8, 2), (12, 10, 3), (5,), 3
SHAPES = {
    "cnn1d": LINE,
    "cnn2d": IMAGE,
    "depthwise": LINE,
    "residual": LINE,
    "lstm": STEPS,
    "gru": STEPS,
    "attention": LINE,
    "logistic": TABLE,
}


def keras_models() -> dict[str, keras.Model]:
    def line(*parts: layers.Layer, shape: tuple[int, ...] = LINE) -> keras.Model:
        return keras.Sequential([keras.Input(shape), *parts])

    given = keras.Input(LINE)
    x = layers.Conv1D(6, 3, strides=2, padding="same", activation="relu")(given)
    y = layers.Conv1D(6, 3, padding="same")(x)
    residual = layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(layers.ReLU()(layers.Add()([x, y]))))
    z = layers.Conv1D(8, 4, strides=4)(given)
    z = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(z, z) + z)
    z = layers.Dense(8, activation="swish")(z)
    return {
        "cnn1d": line(
            layers.Conv1D(4, 5, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling1D(2),
            layers.Conv1D(6, 3, dilation_rate=2, activation="elu"),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax"),
        ),
        "cnn2d": keras.Sequential(
            [
                keras.Input(IMAGE),
                layers.Conv2D(4, 3, strides=2, padding="same", activation="relu6"),
                layers.AveragePooling2D(2),
                layers.Conv2D(5, 2),
                layers.LeakyReLU(0.1),
                layers.GlobalMaxPooling2D(),
                layers.Dense(CLASSES),
            ]
        ),
        "depthwise": line(
            layers.DepthwiseConv1D(5, strides=2, depth_multiplier=3, padding="same"),
            layers.BatchNormalization(),
            layers.Activation("hard_swish"),
            layers.SeparableConv1D(4, 3),
            layers.GlobalAveragePooling1D(),
            layers.Dense(CLASSES),
        ),
        "residual": keras.Model(given, residual),
        "lstm": line(
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.LSTM(5),
            layers.Dense(CLASSES),
            shape=STEPS,
        ),
        "gru": line(
            layers.GRU(4, return_sequences=True), layers.GRU(5, go_backwards=True), layers.Dense(CLASSES), shape=STEPS
        ),
        "attention": keras.Model(given, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(z))),
        "logistic": keras.Sequential([keras.Input(TABLE), layers.Dense(CLASSES, activation="softmax")]),
    }
