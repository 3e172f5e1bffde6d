from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from keras import layers

from converters.calibration import WindowSet
from converters.optimizers.recipe import Pruning
from converters.optimizers.training import train_again
from converters.optimizers.training.channel_tracing import trace_channels
from converters.optimizers.training.channels import least_important, smallest_weights, without_channels
from converters.optimizers.training.graphs import copied, rewired
from converters.optimizers.training.magnitude import kernels_of
from converters.optimizers.training.objective import loss_for, targets_for
from converters.optimizers.training.sparsity import largest, sparsity_at
from converters.tensors import run_flatbuffer
from edge_sdk.contracts import OutputContract
from edge_sdk.errors import ConversionError
from tests.conversion.conftest import MODELS
from tests.conversion.matrix.architectures import OUTPUTS, keras_models
from tests.conversion.trainable import NOISE, TWO_INPUTS, estimating, imported, recipe, window_set

pytestmark = NOISE
HALF = Pruning(method="magnitude", sparsity=0.5)
QUARTER = Pruning(method="channels", sparsity=0.25)


# --- how sparse when, and which weights


def test_sparsity_follows_the_polynomial_that_tensorflow_s_toolkit_publishes() -> None:
    steps = range(101)
    end = next(step for step in steps if sparsity_at(step, steps=100, final=0.8) == 0.8)

    def published(step: int, initial: float = 0.0, final: float = 0.8, begin: int = 0, power: int = 3) -> float:
        share = min(1.0, max(0.0, (step - begin) / (end - begin)))
        return final + (initial - final) * (1 - share) ** power

    assert [sparsity_at(step, steps=100, final=0.8) for step in steps] == pytest.approx([published(s) for s in steps])


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_exactly_the_stated_fraction_is_left_out_and_it_is_the_smallest(sparsity: float) -> None:
    weights = np.random.default_rng(1).normal(size=(10, 3, 7)).astype(np.float32)

    kept = largest(weights, sparsity=sparsity) == 1

    assert np.count_nonzero(~kept) == round(sparsity * weights.size)
    assert np.abs(weights[~kept]).max() < np.abs(weights[kept]).min()


def test_what_was_left_out_stays_out_when_more_is() -> None:
    weights = np.random.default_rng(1).normal(size=200).astype(np.float32)
    first = largest(weights, sparsity=0.3)

    assert not largest(weights * first, sparsity=0.6)[first == 0].any()


# --- magnitude pruning


def linear(weights: list[float]) -> keras.Model:
    facts = keras.Input((len(weights),), name="facts")
    model = keras.Model(facts, layers.Dense(1, name="answer")(facts))
    model.set_weights([np.array(weights, np.float32)[:, np.newaxis], np.array([0.5], np.float32)])
    return model


def test_of_a_linear_model_exactly_the_inputs_that_do_not_matter_are_pruned(tmp_path: Path) -> None:
    source = linear([2.0, 0.01, -1.5, -0.02, 0.015, 1.0])
    facts = np.random.default_rng(1).normal(size=(500, 6)).astype(np.float32)

    pruned = train_again(
        imported(source, estimating(facts=6), tmp_path),
        recipe(pruning=HALF),
        WindowSet(inputs={"facts": facts}),
        tmp_path,
    )

    kernel = pruned.trainable.get_weights()[0][:, 0]
    assert (kernel == 0).tolist() == [False, True, False, True, True, False]
    assert kernel[kernel != 0] == pytest.approx([2.0, -1.5, 1.0], abs=0.01)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return imported(keras.saving.load_model(MODELS / "tiny.keras"), TWO_INPUTS, tmp_path_factory.mktemp("tiny"))


def test_half_of_every_kernel_is_zero_after_training_and_the_biases_are_not(tiny: Any, tmp_path: Path) -> None:
    pruned = train_again(tiny, recipe(pruning=HALF), window_set(300, seed=1), tmp_path)

    for kernel in kernels_of(pruned.trainable):
        values = np.asarray(kernel)
        assert np.count_nonzero(values) == values.size - round(values.size / 2)
    assert all(np.asarray(layer.bias).all() for layer in pruned.trainable.layers if hasattr(layer, "bias"))
    assert any("weights are zero" in remark for remark in pruned.remarks)


def test_a_constraint_of_the_source_is_kept_beside_the_mask(tmp_path: Path) -> None:
    facts = keras.Input((4,), name="facts")
    source = keras.Model(facts, layers.Dense(1, kernel_constraint="non_neg")(facts))
    source.set_weights([np.array([[1.0], [0.0], [0.7], [0.1]], np.float32), np.zeros(1, np.float32)])
    given = WindowSet(inputs={"facts": np.random.default_rng(1).normal(size=(200, 4)).astype(np.float32)})

    pruned = train_again(imported(source, estimating(facts=4), tmp_path), recipe(pruning=HALF), given, tmp_path)

    kernel = pruned.trainable.get_weights()[0]
    assert (kernel >= 0).all()
    assert np.count_nonzero(kernel) == 2


# --- what every training keeps to


def test_the_same_input_gives_the_same_bytes(tiny: Any, tmp_path: Path) -> None:
    made = [train_again(tiny, recipe(pruning=HALF), window_set(200, seed=1), tmp_path).flatbuffer for _ in range(2)]

    assert made[0] == made[1]


def test_another_seed_gives_another_model(tiny: Any, tmp_path: Path) -> None:
    made = [train_again(tiny, recipe(seed=seed), window_set(200, seed=1), tmp_path).flatbuffer for seed in (1, 2)]

    assert made[0] != made[1]


def test_the_model_that_was_brought_stays_as_it_is_and_goes_on_answering(tiny: Any, tmp_path: Path) -> None:
    before, given = tiny.trainable.get_weights(), window_set(200, seed=1)
    answers = tiny.predict(given.inputs)

    trained = train_again(tiny, recipe(pruning=QUARTER), given, tmp_path)

    assert all(np.array_equal(old, new) for old, new in zip(before, tiny.trainable.get_weights(), strict=True))
    assert np.array_equal(trained.predict(given.inputs), answers)
    assert (trained.source_name, trained.source_sha256) == (tiny.source_name, tiny.source_sha256)


def test_progress_rises_to_the_end_by_epochs(tiny: Any, tmp_path: Path) -> None:
    told: list[float] = []

    train_again(tiny, recipe(epochs=4), window_set(100, seed=1), tmp_path, progress=told.append)

    assert told == [0.25, 0.5, 0.75, 1.0]


def test_windows_need_no_truth(tiny: Any, tmp_path: Path) -> None:
    given = WindowSet(inputs=window_set(200, seed=1).inputs)

    trained = train_again(tiny, recipe(pruning=HALF), given, tmp_path)

    assert trained.flatbuffer == train_again(tiny, recipe(pruning=HALF), window_set(200, seed=1), tmp_path).flatbuffer


def test_a_model_that_is_only_a_file_of_numbers_is_refused_with_what_to_bring(tiny: Any, tmp_path: Path) -> None:
    finished = dataclasses.replace(tiny, trainable=None, source_name="model.tflite")

    with pytest.raises(ConversionError, match=r"model\.tflite holds finished numbers only.*bring the model as Keras"):
        train_again(finished, recipe(pruning=HALF), window_set(100, seed=1), tmp_path)


def test_a_model_of_another_framework_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="not known for a model of builtins"):
        train_again(dataclasses.replace(tiny, trainable=object()), recipe(), window_set(100, seed=1), tmp_path)


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    facts = keras.Input((1,), name="facts")
    source = imported(keras.Model(facts, layers.ReLU()(facts)), estimating(facts=1), tmp_path)
    given = WindowSet(inputs={"facts": np.ones((100, 1), np.float32)})

    with pytest.raises(ConversionError, match="no weights to prune"):
        train_again(source, recipe(pruning=HALF), given, tmp_path)


def test_training_without_windows_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="--training"):
        train_again(tiny, recipe(pruning=HALF), None, tmp_path)


# --- what is learned


@pytest.mark.parametrize(
    ("activation", "answers"),
    [
        ("softmax", [[2.0, -1.0], [0.5, 0.1]]),
        ("none", [[0.7, 0.3], [0.2, 0.8]]),
        ("sigmoid", [[1.5], [-0.5]]),
        ("probability", [[0.9], [0.3]]),
    ],
)
def test_the_loss_is_least_where_a_model_answers_as_the_source(activation: Any, answers: list[list[float]]) -> None:
    output = msgspec.structs.replace(TWO_INPUTS.output, activation=activation)

    assert is_least(output, np.array(answers, np.float32))


def test_the_loss_of_a_quantity_is_least_where_a_model_answers_as_the_source() -> None:
    assert is_least(estimating(facts=2).output, np.array([[120.0], [80.0]], np.float32))


def is_least(output: OutputContract, answers: np.ndarray) -> bool:
    targets = targets_for(output, answers)
    loss = loss_for(output, targets)
    here = float(np.mean(loss(targets, answers)))
    moves = np.eye(answers.size, dtype=np.float32).reshape(-1, *answers.shape) * 0.02
    return all(float(np.mean(loss(targets, answers + sign * move))) > here for move in moves for sign in (1, -1))


def test_a_quantity_counts_by_its_spread_whatever_its_unit() -> None:
    output = estimating(facts=2).output
    two = msgspec.structs.replace(output, quantities=output.quantities * 2)
    answers = np.array([[120.0, 0.12], [80.0, 0.08]], np.float32)
    loss = loss_for(two, targets_for(two, answers))

    lost = [float(np.mean(loss(answers, answers + off))) for off in ([[10, 0]], [[0, 0.01]])]

    assert lost[0] == pytest.approx(lost[1], rel=1e-4)


# --- channel pruning


def gated() -> keras.Model:
    """A squeeze-and-excitation block: channels multiplied by what a dense layer makes of their means."""
    x = given = keras.Input((20, 3), name="waveform")
    x = layers.Conv1D(8, 3, activation="relu")(x)
    gate = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling1D()(x))
    gate = layers.Reshape((1, 8))(layers.Dense(8, activation="sigmoid")(gate))
    x = layers.Conv1D(8, 3, strides=2, activation="relu")(layers.Multiply()([x, gate]))
    return keras.Model(given, layers.Dense(OUTPUTS)(layers.Flatten()(x)))


def dense_block() -> keras.Model:
    """Channels put side by side, some of them from inside a model within the model, and added without a layer."""
    given = keras.Input((20, 3), name="waveform")
    inner = keras.Sequential([keras.Input((20, 3)), layers.Conv1D(6, 3, padding="same"), layers.BatchNormalization()])
    first = layers.ReLU()(inner(given))
    second = layers.Conv1D(6, 3, padding="same", activation="relu")(first)
    x = layers.Concatenate()([first, second, first + second])
    return keras.Model(given, layers.Dense(OUTPUTS)(layers.GlobalMaxPooling1D()(layers.Conv1D(5, 3)(x))))


def shared_layer() -> keras.Model:
    """One layer that is called twice."""
    given = keras.Input((20, 3), name="waveform")
    first = layers.Conv1D(8, 3, padding="same", activation="relu")(given)
    twice = layers.Conv1D(8, 3, padding="same", activation="relu")
    return keras.Model(given, layers.Dense(OUTPUTS)(layers.GlobalAveragePooling1D()(twice(twice(first)))))


MODELS_TO_CUT: dict[str, Callable[[], keras.Model]] = {
    **{name: keras_models()[name] for name in ("cnn-1d", "cnn-2d", "depthwise", "residual")},
    "gated": gated,
    "dense block": dense_block,
    "shared layer": shared_layer,
}


def random_windows(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(16, *model.inputs[0].shape[1:])).astype(np.float32)


def silenced(model: keras.Model, *, sparsity: float) -> keras.Model:
    """Return the model whole, the channels that pruning would remove set to zero where they are made."""
    wiring = trace_channels(model)
    gone = sorted(least_important(wiring, sparsity=sparsity, importance=smallest_weights))
    quiet = copied(model)
    for layer, twin in zip(flat_layers(model), flat_layers(quiet), strict=True):
        if id(layer) in wiring.outputs and (layer in wiring.makers or isinstance(layer, layers.BatchNormalization)):
            mute = np.isin(wiring.roots(wiring.outputs[id(layer)]), gone)
            weights = twin.get_weights()
            # Kernel and bias; of a normalization the factor and the offset.
            for values in weights[-2:] if len(weights) < 4 else weights[:2]:
                if values.shape[-1] == len(mute):
                    values[..., mute] = 0
            twin.set_weights(weights)
    return quiet


def flat_layers(model: keras.Model) -> list[Any]:
    return [layer for layer in model._flatten_layers() if layer.weights and not isinstance(layer, keras.Model)]


@pytest.mark.parametrize("name", MODELS_TO_CUT)
def test_a_model_without_channels_answers_as_the_whole_one_with_those_channels_silent(name: str) -> None:
    keras.utils.set_random_seed(5)
    model = MODELS_TO_CUT[name]()
    given = random_windows(model)

    smaller, _ = without_channels(model, sparsity=0.4, importance=smallest_weights)

    whole = np.asarray(silenced(model, sparsity=0.4)(given))
    assert np.abs(np.asarray(smaller(given)) - whole).max() <= 1e-5


@pytest.mark.parametrize("name", MODELS_TO_CUT)
def test_size_and_arithmetic_fall(name: str) -> None:
    model = MODELS_TO_CUT[name]()

    smaller, _ = without_channels(model, sparsity=0.4, importance=smallest_weights)

    assert smaller.count_params() < model.count_params()
    assert multiplications(smaller) < multiplications(model)


def multiplications(model: keras.Model) -> int:
    """Count what the kernels of layers multiply for one window."""
    total = 0

    def call(layer: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal total
        answer = layer(*arguments, **named)
        kernels = [weight for weight in getattr(layer, "weights", ()) if weight.name.endswith("kernel")]
        total += sum(int(np.prod(answer.shape[1:-1]) * np.prod(kernel.shape)) for kernel in kernels)
        return answer

    rewired(model, call)
    return total


def test_channels_that_feed_nothing_are_removed_without_a_trace() -> None:
    keras.utils.set_random_seed(5)
    model = keras_models()["cnn-1d"]()
    first, second = (layer for layer in model.layers if isinstance(layer, layers.Conv1D))
    useless = {first: [1, 4], second: [0, 5, 6, 9]}
    for layer, reader in ((first, second), (second, model.get_layer("answers"))):
        kernel, *bias = reader.get_weights()
        kernel[..., useless[layer], :] = 0
        reader.set_weights([kernel, *bias])

    def importance(layer: Any) -> np.ndarray:
        return np.where(np.isin(np.arange(layer.filters), useless[layer]), 0.1, 1.0)

    smaller, _ = without_channels(model, sparsity=0.25, importance=importance)

    given = random_windows(model)
    assert [layer.filters for layer in smaller.layers if isinstance(layer, layers.Conv1D)] == [6, 12]
    assert np.abs(np.asarray(smaller(given)) - np.asarray(model(given))).max() <= 1e-5


def test_the_filters_with_the_smallest_weights_go() -> None:
    keras.utils.set_random_seed(5)
    model = keras_models()["cnn-2d"]()
    conv = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
    kernel, bias = conv.get_weights()

    smaller, _ = without_channels(model, sparsity=0.5, importance=smallest_weights)

    kept = np.sort(np.argsort(np.abs(kernel).sum(axis=(0, 1, 2)))[4:])
    assert np.array_equal(smaller.get_layer(conv.name).get_weights()[0], kernel[..., kept])
    assert np.array_equal(smaller.get_layer(conv.name).get_weights()[1], bias[kept])


def test_channels_that_are_added_go_together() -> None:
    model = keras_models()["residual"]()

    smaller, _ = without_channels(model, sparsity=0.25, importance=smallest_weights)

    assert {layer.filters for layer in smaller.layers if isinstance(layer, layers.Conv1D)} == {6}


def test_every_layer_keeps_a_channel_however_much_is_asked_for() -> None:
    smaller, _ = without_channels(keras_models()["cnn-1d"](), sparsity=0.99, importance=smallest_weights)

    assert {layer.filters for layer in smaller.layers if isinstance(layer, layers.Conv1D)} == {1}


@pytest.mark.parametrize(("name", "layer"), [("lstm", "lstm"), ("attention", "multi_head_attention")])
def test_a_model_of_which_no_channel_can_go_is_refused_naming_where_they_meet(name: str, layer: str) -> None:
    with pytest.raises(ConversionError, match=f"no channel can be removed.*{layer}"):
        without_channels(keras_models()[name](), sparsity=0.5, importance=smallest_weights)


def test_what_feeds_a_recurrent_layer_is_pruned() -> None:
    given = keras.Input((20, 3), name="waveform")
    conv = layers.Conv1D(8, 3, activation="relu", name="conv")(given)
    model = keras.Model(given, layers.Dense(OUTPUTS)(layers.LSTM(5, name="loop")(conv)))

    smaller, told = without_channels(model, sparsity=0.5, importance=smallest_weights)

    assert smaller.get_layer("conv").filters == 4
    assert smaller.get_layer("loop").get_weights()[0].shape == (4, 20)
    assert any("left whole" in line and "loop" in line for line in told)


@keras.saving.register_keras_serializable("tests")
def mixed(x: Any) -> Any:
    return x - keras.ops.mean(x, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda x: x * np.arange(4, dtype=np.float32), id="a constant for each channel"),
        pytest.param(layers.Softmax(), id="softmax"),
        pytest.param(layers.Activation("softmax"), id="softmax as an activation"),
        pytest.param(layers.Activation(mixed), id="a function of one's own"),
        pytest.param(layers.LayerNormalization(), id="normalization over channels"),
        pytest.param(layers.Permute((2, 1)), id="channels as time"),
    ],
)
def test_channels_that_are_not_known_to_be_independent_are_kept(body: Callable[[Any], Any]) -> None:
    given = keras.Input((20, 3), name="waveform")
    x = layers.Conv1D(8, 3, activation="relu", name="free")(given)
    x = body(layers.Conv1D(4, 3, activation="relu", name="kept")(x))
    model = keras.Model(given, layers.Dense(OUTPUTS)(layers.Flatten()(x)))

    smaller, _ = without_channels(model, sparsity=0.5, importance=smallest_weights)

    assert [smaller.get_layer(name).filters for name in ("free", "kept")] == [4, 4]


def test_a_model_of_two_inputs_gets_smaller_and_decides_as_before(tiny: Any, tmp_path: Path) -> None:
    evaluation = window_set(300, seed=2)

    trained = train_again(tiny, recipe(pruning=QUARTER, epochs=10), window_set(500, seed=1), tmp_path)

    answers = run_flatbuffer(trained.flatbuffer, evaluation.inputs)
    assert len(trained.flatbuffer) < len(tiny.flatbuffer)
    assert (answers.argmax(axis=1) == tiny.predict(evaluation.inputs).argmax(axis=1)).mean() > 0.99
    assert any("4 → 3" in remark for remark in trained.remarks)


def test_python_code_has_no_channels_to_follow() -> None:
    class Code(keras.Model):
        pass

    with pytest.raises(ConversionError, match="functional API"):
        without_channels(Code(), sparsity=0.5, importance=smallest_weights)


def test_dropout_and_penalties_are_left_out_and_shared_names_told_apart() -> None:
    def part() -> keras.Model:
        return keras.Sequential(
            [keras.Input((3,)), layers.Dense(3, kernel_regularizer="l2", name="same"), layers.Dropout(0.5)]
        )

    given = keras.Input((3,), name="facts")
    model = keras.Model(given, part()(part()(given)))
    facts = np.ones((2, 3), np.float32)

    copy = copied(model)

    assert np.array_equal(np.asarray(copy(facts, training=True)), np.asarray(model(facts, training=False)))
    assert not copy.losses
    assert len({layer.name for layer in copy.layers}) == len(copy.layers)
