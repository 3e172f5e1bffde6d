"""Applying a recipe to a model, whatever the form its board takes."""

from __future__ import annotations

from converters.calibration import WindowSet
from converters.compilers.jetson.optimize import optimize_onnx
from converters.models import FloatModel, Form, OptimizedModel
from converters.optimizers.quantize import quantize_model
from converters.optimizers.recipe import Recipe


def optimize(model: FloatModel, recipe: Recipe, *, form: Form, calibration: WindowSet | None) -> OptimizedModel:
    """Quantize the form of a model that its board's compiler takes.

    Raises:
        ConversionError: The recipe needs windows that are not there, or cannot be applied to this model.
    """
    if form == "onnx":
        return optimize_onnx(model, recipe, calibration)
    return quantize_model(model, recipe, calibration)
