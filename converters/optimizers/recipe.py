"""Recipes: how to make a model compact, as data."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge_sdk.errors import ConversionError
from edge_sdk.settings import load_toml


class FloatLayers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which layers of an integer model stay float32.

    Attributes:
        names: Patterns, as a shell has them, of the names of the tensors they give; the report lists the names.
        at_most: How many more may be found automatically: those that cost the output most accuracy.
    """

    names: tuple[str, ...] = ()
    at_most: Annotated[int, msgspec.Meta(ge=0, le=32)] = 0


class Pruning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out.

    Attributes:
        method: ``magnitude`` sets the smallest weights to zero; ``channels`` removes whole channels, so that the model
            gets smaller and faster on every runtime.
        sparsity: Fraction of the weights, or of each layer's channels.
    """

    method: Literal["magnitude", "channels"]
    sparsity: Annotated[float, msgspec.Meta(gt=0, lt=1)]


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training on the user's own windows, after pruning or for quantization.

    Attributes:
        epochs: Passes over the training windows.
        learning_rate: Adam's.
        batch_size: Windows in a step.
        quantization_aware: Whether the weights and activations are rounded to int8 while training.
        seed: Of the order of the windows.
    """

    epochs: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1e-3
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = 64
    quantization_aware: bool = False
    seed: int = 1


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How weights and activations are stored, and what is done to the model before.

    Attributes:
        name: Same as the file's.
        summary: Words for a person.
        weights: Stored type of weights.
        activations: Stored type between operators.
        compatible: Whether only operator versions are used that tflite-runtime 2.14 and the Edge TPU compiler know: the
            weights of dense layers get one scale for all.
        float_layers: Layers of an integer model that stay float32.
        pruning: What is left out.
        training: How the model is trained after pruning, or for quantization.

    Raises:
        ValueError: Its parts do not go together.
    """

    name: str
    summary: str
    weights: Literal["float32", "float16", "int8"]
    activations: Literal["float32", "int8", "int16"]
    compatible: bool = False
    float_layers: FloatLayers | None = None
    pruning: Pruning | None = None
    training: Training | None = None

    def __post_init__(self) -> None:
        if self.needs_calibration and self.weights != "int8":
            raise ValueError(f"activations in {self.activations} need weights in int8")
        if self.float_layers and self.activations != "int8":
            raise ValueError("float_layers are for activations in int8")
        if self.pruning and not self.training:
            raise ValueError("pruning needs training: add a table 'training'")

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations must be measured on real windows."""
        return self.activations != "float32"


# From cheap to costly: the order in which they are tried when the choice is left to measurement.
SHIPPED = (
    "float32",
    "float16",
    "dynamic-int8",
    "int8",
    "int8-compatible",
    "int8-mixed",
    "int16x8",
    "int8-pruned",
    "int8-channels",
    "int8-aware",
)


def recipe_names() -> tuple[str, ...]:
    """Return the recipes that are shipped, from cheap to costly."""
    return SHIPPED


def load_recipe(name: str) -> Recipe:
    """Return a recipe that is shipped, or the one in a file.

    Args:
        name: One of `recipe_names`, or the path of a ``.toml`` file.

    Raises:
        ConversionError: No recipe of that name, or its file is wrong.
    """
    if name.endswith(".toml"):
        return _read(Path(name))
    if name not in SHIPPED:
        near = difflib.get_close_matches(name, SHIPPED, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConversionError(
            f"no recipe '{name}'", remedy=f"{hint}known: {', '.join(SHIPPED)}; or give the path of a .toml file"
        )
    with resources.as_file(resources.files("converters") / "recipes" / f"{name}.toml") as path:
        return _read(path)


def _read(path: Path) -> Recipe:
    recipe = load_toml(path, Recipe, what="recipe", error=ConversionError)
    if recipe.name != path.stem:
        raise ConversionError(f"recipe {path} calls itself '{recipe.name}'", remedy="rename the file")
    return recipe
