"""Quantization of the form in the middle, a float32 flatbuffer.

Integer activations come from TensorFlow's calibrator and its quantizer for finished flatbuffers: on the same windows
they are as accurate as the whole converter, and they take models from every framework. Dynamic ranges and half
precision come from LiteRT's quantizer, which is made for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from converters.calibration import WindowSet
from converters.flatbuffers import operator_name, read_model
from converters.importers.tensorflow import SIGNATURE, first_line
from converters.models import FloatModel, OptimizedModel
from converters.optimizers.mixed import costliest_layers
from converters.optimizers.recipe import FloatLayers, Recipe
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

_CALIBRATION_WINDOWS = 500
_LOOP = "WHILE"

Quantize = Callable[[Sequence[str]], bytes]


def quantize_model(model: FloatModel, recipe: Recipe, calibration: WindowSet | None) -> OptimizedModel:
    """Turn a float flatbuffer into what the recipe asks for.

    Raises:
        ConversionError: The recipe needs calibration windows and got none, or cannot be applied to this model.
    """
    if recipe.needs_calibration:
        return _integer(model, recipe, calibration)
    data = model.flatbuffer if recipe.weights == "float32" else _weights_only(model.flatbuffer, recipe)
    return OptimizedModel(source=model, recipe=recipe, form="litert", data=data, reference=model.flatbuffer)


def _integer(model: FloatModel, recipe: Recipe, calibration: WindowSet | None) -> OptimizedModel:
    if calibration is None:
        raise ConversionError(f"recipe '{recipe.name}' needs calibration windows", remedy="give --calibration")
    reference, remarks = without_loops(model, recipe)
    if recipe.activations == "int16":
        data = _in_int16(reference, calibration, recipe)
    else:
        data, kept = _in_int8_but(reference, calibration, recipe)
        remarks += tuple(f"kept in float32: {name}" for name in kept)
    return OptimizedModel(source=model, recipe=recipe, form="litert", data=data, reference=reference, remarks=remarks)


def _in_int8_but(reference: bytes, calibration: WindowSet, recipe: Recipe) -> tuple[bytes, tuple[str, ...]]:
    """Return the int8 model, and the layers in it that stayed float as the recipe asks."""
    calibrated = _calibrated(reference, calibration, recipe)

    def quantize(kept_float: Sequence[str]) -> bytes:
        return _in_int8(calibrated, recipe, kept_float)

    if not recipe.float_layers:
        return quantize(()), ()
    kept = _named(reference, recipe.float_layers)
    kept += costliest_layers(reference, quantize, calibration, kept=kept, at_most=recipe.float_layers.at_most)
    return quantize(kept), kept


def without_loops(model: FloatModel, recipe: Recipe) -> tuple[bytes, tuple[str, ...]]:
    """Return a flatbuffer that an integer quantizer can see through, and what was done to get it.

    Raises:
        ConversionError: The model loops over time, and its source cannot be written out step by step.
    """
    if not any(operator_name(*pair) == _LOOP for pair in _operators(model.flatbuffer)):
        return model.flatbuffer, ()
    if model.unrolled is None:
        raise ConversionError(
            f"recipe '{recipe.name}' cannot be applied: the model loops over time (operator {_LOOP}), and no integer "
            "quantizer sees into a loop",
            remedy="use dynamic-int8, or bring the model as Keras or ONNX, whose recurrent layers are written out",
        )
    flatbuffer = model.unrolled()
    size = f"{len(model.flatbuffer)} to {len(flatbuffer)} bytes as float32"
    return flatbuffer, (
        f"recurrent layers were written out step by step, since no quantizer sees into a loop ({size})",
    )


def _operators(flatbuffer: bytes) -> Iterator[tuple[Any, Any]]:
    model = read_model(flatbuffer)
    return ((model, operator) for graph in model.subgraphs for operator in graph.operators)


def _named(flatbuffer: bytes, layers: FloatLayers) -> tuple[str, ...]:
    """Return the output names of the operators that a person named."""
    model = read_model(flatbuffer)
    graph = model.subgraphs[0]
    names = [graph.tensors[index].name.decode() for operator in graph.operators for index in operator.outputs]
    for pattern in layers.names:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConversionError(
                f"no layer's name fits '{pattern}'", remedy=f"the model has {', '.join(names[:20])}; use * for any part"
            )
    return tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in layers.names))


def _calibrated(flatbuffer: bytes, windows: WindowSet, recipe: Recipe) -> bytes:
    from tensorflow.lite.python.optimize.calibrator import Calibrator  # noqa: PLC0415  # heavy, and only used here

    try:
        calibrated: bytes = Calibrator(flatbuffer).calibrate(_samples(windows))
    except Exception as error:
        raise _refused(recipe, error) from error
    return calibrated


def _samples(windows: WindowSet) -> Callable[[], Iterator[tuple[str, dict[str, FloatArray]]]]:
    def samples() -> Iterator[tuple[str, dict[str, FloatArray]]]:
        # Evenly over the file, which may hold one patient after another.
        step = max(1, len(windows) // _CALIBRATION_WINDOWS)
        for index in range(0, len(windows), step):
            yield SIGNATURE, {name: values[index : index + 1] for name, values in windows.inputs.items()}

    return samples


def _in_int8(calibrated: bytes, recipe: Recipe, kept_float: Sequence[str]) -> bytes:
    import tensorflow as tf  # noqa: PLC0415  # heavy, and only used here
    from tensorflow.compiler.mlir.lite import types_pb2  # noqa: PLC0415
    from tensorflow.lite.python.convert import mlir_quantize  # noqa: PLC0415

    whole = recipe.float_layers is None
    try:
        flatbuffer: bytes = mlir_quantize(
            calibrated,
            fully_quantize=whole,
            inference_type=types_pb2.QUANTIZED_INT8,
            input_data_type=tf.int8 if whole else tf.float32,
            output_data_type=tf.int8 if whole else tf.float32,
            denylisted_nodes=list(kept_float) or None,
            disable_per_channel_for_dense_layers=recipe.compatible,
        )
    except Exception as error:
        raise _refused(recipe, error) from error
    return flatbuffer


def _in_int16(flatbuffer: bytes, windows: WindowSet, recipe: Recipe) -> bytes:
    import tensorflow as tf  # noqa: PLC0415  # heavy, and only used here
    from tensorflow.lite.python.optimize.calibrator import Calibrator  # noqa: PLC0415

    try:
        quantized: bytes = Calibrator(flatbuffer).calibrate_and_quantize(
            _samples(windows),
            input_type=tf.int16,
            output_type=tf.int16,
            allow_float=False,
            activations_type=tf.int16,
            bias_type=tf.int64,
            resize_input=True,  # to the shape it has: the other branch fails on a named signature
            disable_per_channel_quantization_for_dense_layers=recipe.compatible,
        )
    except Exception as error:
        raise _refused(recipe, error) from error
    return quantized


def _weights_only(flatbuffer: bytes, recipe: Recipe) -> bytes:
    from litert_quantizer import qtyping, quantizer  # noqa: PLC0415  # heavy, and only used here
    from litert_quantizer.algorithm_manager import AlgorithmName  # noqa: PLC0415

    work, every = quantizer.Quantizer(flatbuffer), qtyping.TFLOperationName.ALL_SUPPORTED
    try:
        if recipe.weights == "float16":
            half = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
            config = qtyping.OpQuantizationConfig(
                weight_tensor_config=half, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
            )
            work.update_quantization_recipe(".*", every, config, AlgorithmName.FLOAT_CASTING)
        else:
            # Runtimes before LiteRT read one scale for all of a dense layer's weights, and do not notice more.
            one, each = qtyping.QuantGranularity.TENSORWISE, qtyping.QuantGranularity.CHANNELWISE
            work.add_dynamic_config(".*", every, 8, each)
            work.add_dynamic_config(".*", qtyping.TFLOperationName.FULLY_CONNECTED, 8, one)
        return bytes(work.quantize().quantized_model)
    except Exception as error:
        raise _refused(recipe, error) from error


def _refused(recipe: Recipe, error: Exception) -> ConversionError:
    return ConversionError(
        f"recipe '{recipe.name}' cannot be applied ({first_line(error)})", remedy="try a recipe that keeps floats"
    )
