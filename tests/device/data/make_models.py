"""Makes the tiny models beside it, so that device tests need no TensorFlow. Run once: ``python make_models.py``.

They are no good at ECG; what matters is their shape: one float and one int8 heartbeat classifier, and one with an
operator version that tflite-runtime 2.14 does not know. One is for facts: its two answers are 100 plus the first and
the third, and the second minus the third.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from edge_sdk.beats import FEATURE_NAMES

HERE = Path(__file__).parent
WAVEFORM, LABELS = (90, 2), 5


def network() -> keras.Model:
    keras.utils.set_random_seed(7)
    waveform = keras.Input(WAVEFORM, name="waveform")
    features = keras.Input((len(FEATURE_NAMES),), name="features")
    seen = keras.layers.Conv1D(4, 5, strides=3, activation="relu")(waveform)
    seen = keras.layers.GlobalAveragePooling1D()(seen)
    joined = keras.layers.Concatenate()([seen, features])
    return keras.Model([waveform, features], keras.layers.Dense(LABELS, name="answer")(joined))


def convert(model: keras.Model, *, int8: bool = False, dynamic: bool = False) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        signature = [tf.TensorSpec((1, *i.shape[1:]), tf.float32, name=i.name) for i in model.inputs]
        archive.add_endpoint("serve", model.call, input_signature=[signature])
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if int8 or dynamic:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if int8:
            converter.representative_dataset = lambda: samples(model)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        content: bytes = converter.convert()
        return content


def samples(model: keras.Model) -> Iterator[dict[str, np.ndarray]]:
    random = np.random.default_rng(7)
    for _ in range(32):
        yield {i.name: random.normal(size=(1, *i.shape[1:])).astype(np.float32) for i in model.inputs}


def wide() -> keras.Model:
    keras.utils.set_random_seed(7)
    features = keras.Input((len(FEATURE_NAMES),), name="features")
    hidden = keras.layers.Dense(64, activation="relu")(features)
    return keras.Model([features], keras.layers.Dense(LABELS, name="answer")(hidden))


def facts() -> keras.Model:
    features = keras.Input((3,), name="features")
    answer = keras.layers.Dense(2, name="answer")
    model = keras.Model([features], answer(features))
    answer.set_weights([np.array([[1, 0], [0, 1], [1, -1]], np.float32), np.array([100, 0], np.float32)])
    return model


if __name__ == "__main__":
    (HERE / "beats_float.tflite").write_bytes(convert(network()))
    (HERE / "beats_int8.tflite").write_bytes(convert(network(), int8=True))
    (HERE / "newer_operator.tflite").write_bytes(convert(wide(), dynamic=True))
    (HERE / "facts.tflite").write_bytes(convert(facts()))
