"""Precision, written into the ONNX itself, so that what is checked here is what TensorRT builds.

TensorRT can also choose precisions by flags and ranges of its own ("weak typing"). That is not used: what it would
choose cannot be checked here, newer TensorRT have dropped it, and explicit types mean the same on all of them.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.compilers.jetson.graphs import read_onnx, write_onnx
from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

# The operators with weights: TensorRT gains where their inputs are int8, and fuses the rest into them.
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Scales per channel came to QuantizeLinear in this opset.
_QDQ_OPSET = 13
_WINDOWS = 500
_LARGEST_HALF = float(np.finfo(np.float16).max)


class Int8Quantizer:
    """Makes int8 models of one float32 model; its ranges are measured once.

    The result holds explicit QuantizeLinear and DequantizeLinear at the inputs of every operator with weights, as
    TensorRT asks for: int8, zero point 0, one scale for each activation and one for each output channel of weights.
    What lies between, and the model's inputs and output, stay float32.

    Args:
        data: float32 ONNX, batch 1.
        calibration: Real windows, float32 by input name, each (n, …).
        folder: An empty folder for intermediate files.

    Raises:
        ConversionError: Its opset is too old.
    """

    def __init__(self, data: bytes, calibration: dict[str, FloatArray], folder: Path) -> None:
        import onnx  # noqa: PLC0415  # heavy, and only the workstation has it
        from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

        model = read_onnx(data)
        if opset(model) < _QDQ_OPSET:
            raise ConversionError(
                f"the ONNX model has opset {opset(model)}, and int8 needs {_QDQ_OPSET}",
                remedy=f"export it with opset {_QDQ_OPSET} or newer",
            )
        self._windows, self._folder = calibration, folder
        self._source, self._ranges = folder / "prepared.onnx", folder / "ranges.json"
        onnx.save(model, folder / "source.onnx")
        # Folds what is constant, so that weights are seen as weights.
        quant_pre_process(str(folder / "source.onnx"), str(self._source), skip_symbolic_shape=True)

    def layers(self) -> tuple[str, ...]:
        """Return the names of the outputs of the operators that int8 touches, in order."""
        return tuple(node.output[0] for node in self._weighted())

    def quantize(self, keep_float: Sequence[str] = ()) -> bytes:
        """Return an int8 model.

        Args:
            keep_float: Names of outputs of operators that stay float32.

        Raises:
            ConversionError: The quantizer cannot take the model, or there is nothing in it to quantize.
        """
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static  # noqa: PLC0415

        result = self._folder / "quantized.onnx"
        excluded = [node.name for node in self._weighted() if node.output[0] in keep_float]
        try:
            quantize_static(
                self._source,
                result,
                _Reader(self._windows),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(WEIGHTED),
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=excluded,
                calibration_cache_path=self._ranges,
                extra_options={
                    "ActivationSymmetric": True,  # TensorRT refuses any zero point but 0
                    "WeightSymmetric": True,
                    "QuantizeBias": False,  # TensorRT has no int32 dequantization
                    "OpTypesToExcludeOutputQuantization": list(WEIGHTED),
                    "MatMulConstBOnly": True,
                },
            )
        except Exception as error:
            raise _refused("int8", error) from error
        model = read_onnx(result.read_bytes())
        if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
            raise ConversionError(
                f"nothing in the model can be int8: it has no {', '.join(WEIGHTED)} outside of loops",
                remedy="use the recipe float16",
            )
        return write_onnx(model)

    def _weighted(self) -> list[Any]:
        graph = read_onnx(self._source.read_bytes()).graph
        return [node for node in graph.node if node.op_type in WEIGHTED]


def quantize_onnx(data: bytes, calibration: dict[str, FloatArray], *, keep_float: Sequence[str] = ()) -> bytes:
    """Return the int8 form of a float32 ONNX model; `Int8Quantizer` says which.

    Raises:
        ConversionError: Its opset is too old, or nothing in it can be quantized.
    """
    with tempfile.TemporaryDirectory(prefix="edge-onnx-") as folder:
        return Int8Quantizer(data, calibration, Path(folder)).quantize(keep_float)


def to_float16(data: bytes) -> bytes:
    """Return the half precision form of a float32 ONNX model, whose inputs and output stay float32.

    Raises:
        ConversionError: A weight is too large for half precision, or the model cannot be converted.
    """
    from onnx import numpy_helper  # noqa: PLC0415
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415

    model = read_onnx(data)
    for stored in model.graph.initializer:
        values = numpy_helper.to_array(stored)
        if values.dtype == np.float32 and values.size and np.abs(values).max() > _LARGEST_HALF:
            raise ConversionError(
                f"'{stored.name}' has values beyond {_LARGEST_HALF:g}, the largest in half precision",
                remedy="use the recipe float32, or scale that layer",
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tells of every weight that becomes 0
            halved = convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:
        raise _refused("float16", error) from error
    return write_onnx(halved)


def opset(model: Any) -> int:
    """Return the version of the standard operator set a model uses."""
    return next(int(item.version) for item in model.opset_import if item.domain in {"", "ai.onnx"})


class _Reader:
    """What onnxruntime's calibrator reads from: one window after another, evenly over all of them."""

    def __init__(self, windows: dict[str, FloatArray]) -> None:
        count = len(next(iter(windows.values())))
        chosen = range(0, count, max(1, count // _WINDOWS))
        self._windows: Iterator[dict[str, FloatArray]] = (
            {name: values[row : row + 1] for name, values in windows.items()} for row in chosen
        )

    def get_next(self) -> dict[str, FloatArray] | None:
        return next(self._windows, None)


def _refused(what: str, error: Exception) -> ConversionError:
    return ConversionError(
        f"the ONNX model cannot be made {what} ({first_line(error)})", remedy="use the recipe float32 or float16"
    )
