"""Training a Keras model again: after pruning, or while its numbers are rounded as int8 will round them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converters.calibration import WindowSet
from converters.importers.keras import Origin, float_model
from converters.models import FloatModel
from converters.optimizers.recipe import Recipe, Training
from converters.optimizers.training.aware import aware_of_rounding
from converters.optimizers.training.channels import smallest_weights, without_channels
from converters.optimizers.training.graphs import copied
from converters.optimizers.training.magnitude import Masks, kernels_of
from converters.optimizers.training.objective import loss_for, targets_for
from edge_sdk.tensors import FloatArray

Told = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is learned, and how.

    Attributes:
        inputs: By name, each (n, …).
        targets: (n, width).
        loss: Holds answers against the targets.
        settings: Epochs and the rest.
    """

    inputs: dict[str, FloatArray]
    targets: FloatArray
    loss: Any
    settings: Training

    @property
    def steps(self) -> int:
        """How many steps one training takes."""
        return self.settings.epochs * math.ceil(len(self.targets) / self.settings.batch_size)


def train_again_keras(
    model: FloatModel, recipe: Recipe, training: WindowSet, workspace: Path, *, progress: Told
) -> FloatModel:
    """Prune or round a copy of a Keras model and train it, as a recipe says.

    The same model, recipe and windows give the same weights to the last bit, on one machine.

    Args:
        model: Its ``trainable`` is a Keras model.
        recipe: One without training leaves the model as it is.
        training: Windows to train on, as the device prepares them.
        workspace: For what is made on the way.
        progress: Told which fraction is done.

    Raises:
        ConversionError: There is nothing to prune, or the model is Python code rather than a graph of layers.
    """
    if recipe.training is None:
        return model
    targets = targets_for(model.contract.output, model.predict(training.inputs))
    loss = loss_for(model.contract.output, targets)
    lesson = Lesson(inputs=training.inputs, targets=targets, loss=loss, settings=recipe.training)
    with _repeatable(recipe.training.seed):
        network, remarks = taught(copied(model.trainable), recipe, lesson, progress)
    origin = Origin(name=model.source_name, sha256=model.source_sha256, size_bytes=model.source_bytes)
    tuned = float_model(network, model.contract, workspace, origin)
    return replace(tuned, predict=model.predict, remarks=(*model.remarks, *remarks))


def taught(network: Any, recipe: Recipe, lesson: Lesson, progress: Told) -> tuple[Any, tuple[str, ...]]:
    """Return what a network becomes, and what happened in words.

    Where a recipe prunes and rounds, it is trained twice: pruned first, so that normalization has settled.
    """
    pruning, rounds = recipe.pruning, lesson.settings.quantization_aware
    masks, remarks, callbacks = None, list[str](), []
    if pruning and pruning.method == "channels":
        network, told = without_channels(network, sparsity=pruning.sparsity, importance=smallest_weights)
        remarks += told
    elif pruning:
        masks = Masks(kernels_of(network))
        callbacks = [masks.callback(steps=lesson.steps, final=pruning.sparsity)]
    share = 0.5 if pruning and rounds else 1.0
    if pruning or not rounds:
        remarks.append(_fit(network, lesson, callbacks, lambda done: progress(share * done)))
    if rounds:
        remarks.append(_fit_rounded(network, recipe, lesson, lambda done: progress(1 - share + share * done)))
    return network, (*remarks, *([masks.summary()] if masks else []))


def _fit_rounded(network: Any, recipe: Recipe, lesson: Lesson, progress: Told) -> str:
    import keras  # noqa: PLC0415

    twin = aware_of_rounding(network, per_tensor=recipe.compatible)
    measure = keras.callbacks.LambdaCallback(on_epoch_begin=lambda _epoch, _logs: twin.calibrate(lesson.inputs))
    return f"rounded as int8 will: {_fit(twin.model, lesson, [measure], progress)}"


def _fit(network: Any, lesson: Lesson, callbacks: Sequence[Any], progress: Told) -> str:
    import keras  # noqa: PLC0415

    epochs = lesson.settings.epochs
    tell = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _logs: progress((epoch + 1) / epochs))
    rate = keras.optimizers.schedules.CosineDecay(lesson.settings.learning_rate, lesson.steps)
    # Compiling to machine code takes longer than small networks are trained.
    network.compile(optimizer=keras.optimizers.Adam(rate), loss=lesson.loss, jit_compile=False)
    inputs = lesson.inputs if len(lesson.inputs) > 1 else next(iter(lesson.inputs.values()))
    history = network.fit(
        inputs,
        lesson.targets,
        epochs=epochs,
        batch_size=lesson.settings.batch_size,
        callbacks=[*callbacks, tell],
        verbose=0,
    )
    losses = history.history["loss"]
    passes = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    return (
        f"{passes} on {len(lesson.targets)} windows, loss {losses[0]:.4g} in the first and {losses[-1]:.4g} in the last"
    )


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    import keras  # noqa: PLC0415  # heavy, and only this function needs it
    import tensorflow as tf  # noqa: PLC0415

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    with tf.device("CPU:0"):  # on a GPU, rounding that lets gradients through has no repeatable form
        yield
