"""Quantization by the LiteRT converter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from converters.calibration import WindowSet
from converters.models import FloatModel, OptimizedModel
from converters.optimizers.recipe import Recipe
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray


def quantize_model(model: FloatModel, recipe: Recipe, calibration: WindowSet | None) -> OptimizedModel:
    """Turn a SavedModel into a LiteRT flatbuffer as the recipe says.

    Raises:
        ConversionError: The recipe needs calibration windows and got none, or the converter refused.
    """
    import tensorflow as tf  # noqa: PLC0415  # heavy, and only this function needs it

    converter = tf.lite.TFLiteConverter.from_saved_model(model.saved_model, signature_keys=["serve"])
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe.needs_calibration:
        if calibration is None:
            raise ConversionError(f"recipe '{recipe.name}' needs calibration windows", remedy="give --calibration")
        converter.representative_dataset = _representatives(calibration)
    if recipe.activations == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return OptimizedModel(source=model, recipe=recipe.name, flatbuffer=_converted(converter, recipe))


def _representatives(calibration: WindowSet) -> Callable[[], Iterator[dict[str, FloatArray]]]:
    def windows() -> Iterator[dict[str, FloatArray]]:
        for index in range(len(calibration)):
            yield {name: values[index : index + 1] for name, values in calibration.inputs.items()}

    return windows


def _converted(converter: Any, recipe: Recipe) -> bytes:
    try:
        flatbuffer: bytes = converter.convert()
    except Exception as error:  # the converter raises many kinds
        first = str(error).strip().splitlines()[:1]
        raise ConversionError(
            f"recipe '{recipe.name}' cannot be applied ({' '.join(first)})", remedy="try a recipe that keeps floats"
        ) from error
    return flatbuffer
