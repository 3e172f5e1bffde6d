"""Training a model again, after pruning or for quantization, in the framework that it was made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from converters.calibration import WindowSet
from converters.models import FloatModel
from converters.optimizers.recipe import Recipe
from converters.optimizers.training.keras_training import train_again_keras
from converters.optimizers.training.torch_training import train_again_torch
from edge_sdk.errors import ConversionError


class Trainer(Protocol):
    """Trains the models of one framework."""

    def __call__(
        self,
        model: FloatModel,
        recipe: Recipe,
        training: WindowSet,
        workspace: Path,
        *,
        progress: Callable[[float], None],
    ) -> FloatModel:
        """Return the model as the recipe wants it; see `train_again`."""


# By the package that a model's class, or one it inherits from, belongs to.
_TRAINERS: dict[str, Trainer] = {"keras": train_again_keras, "torch": train_again_torch}


def train_again(
    model: FloatModel,
    recipe: Recipe,
    training: WindowSet | None,
    workspace: Path,
    *,
    progress: Callable[[float], None] = lambda _done: None,
) -> FloatModel:
    """Return a model pruned and trained again as a recipe says; the one that was brought stays as it is.

    What is returned still answers ``predict`` as the model that was brought: that is what it is held against. The same
    model, recipe and windows give the same weights to the last bit, on one machine.

    Args:
        model: What was imported.
        recipe: Has a table ``training``.
        training: Windows to train on, as the device prepares them. Their truth is not needed.
        workspace: A folder for what is made on the way.
        progress: Told which fraction is done.

    Raises:
        ConversionError: The model cannot be trained or its graph not be pruned, or there are no windows.
    """
    again = f"recipe '{recipe.name}' trains the model again"
    if model.trainable is None:
        raise ConversionError(
            f"{again}, and {model.source_name} holds finished numbers only",
            remedy="bring the model as Keras or PyTorch, or use a recipe that does not train",
        )
    if training is None:
        raise ConversionError(again, remedy="give --training")
    trainer = _trainer(model.trainable)
    if trainer is None:
        raise ConversionError(
            f"{again}, and that is not known for a model of {type(model.trainable).__module__}",
            remedy="bring the model as Keras or PyTorch",
        )
    return trainer(model, recipe, training, workspace, progress=progress)


def _trainer(trainable: Any) -> Trainer | None:
    packages = (base.__module__.partition(".")[0] for base in type(trainable).__mro__)
    return next((_TRAINERS[package] for package in packages if package in _TRAINERS), None)
