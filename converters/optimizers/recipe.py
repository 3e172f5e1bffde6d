"""Recipes: how to make a model compact, as data."""

from __future__ import annotations

import difflib
from importlib import resources
from typing import Literal

import msgspec

from edge_sdk.errors import ConversionError
from edge_sdk.settings import load_toml


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How weights and activations are stored.

    Attributes:
        name: Same as the file's.
        summary: Words for a person.
        weights: Stored type of weights.
        activations: Stored type between operators.
        needs_calibration: Whether ranges must be measured on real windows.
    """

    name: str
    summary: str
    weights: Literal["float32", "float16", "int8"]
    activations: Literal["float32", "int8"]
    needs_calibration: bool


def recipe_names() -> tuple[str, ...]:
    """Return the recipes that are shipped, sorted."""
    folder = resources.files("converters") / "recipes"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")))


def load_recipe(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        ConversionError: No recipe of that name.
    """
    known = recipe_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConversionError(f"no recipe '{name}'", remedy=f"{hint}known: {', '.join(known)}")
    with resources.as_file(resources.files("converters") / "recipes" / f"{name}.toml") as path:
        return load_toml(path, Recipe, what="recipe", error=ConversionError)
