"""What an ONNX graph with fixed sizes becomes: LiteRT flatbuffers, and ONNX for boards' compilers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.importers.fitting import InputFit
from converters.importers.onnx_export import exported
from converters.importers.onnx_graph import is_recurrent, saved_model_of
from converters.importers.onnx_simplify import simplified
from converters.importers.tensorflow import float_flatbuffer, saved_model_to_onnx
from edge_sdk.contracts import ModelContract


@dataclass(frozen=True, kw_only=True)
class Forms:
    """The forms that `converters.models.FloatModel` asks for, under the contract's names.

    Attributes:
        flatbuffer: In float32; recurrent operators are loops in it.
        unrolled: Makes the flatbuffer without loops; ``None`` if there are none.
        to_onnx: Makes the ONNX form.
    """

    flatbuffer: bytes
    unrolled: Callable[[], bytes] | None
    to_onnx: Callable[[], bytes]


def forms_of(fixed: Any, fits: Sequence[InputFit], contract: ModelContract, workspace: Path) -> Forms:
    """Return the forms of an ONNX model.

    Args:
        fixed: The ``ModelProto``, with fixed sizes and one output.
        fits: How the contract's inputs become its own.
        contract: Names and shapes.
        workspace: A folder for what is made on the way.

    Raises:
        ConversionError: onnxruntime does not run it, or it has an operator that is not translated.
    """
    from converters.importers.onnx_ops import OPERATORS  # noqa: PLC0415  # imports TensorFlow

    simple = simplified(fixed, OPERATORS, workspace)
    opset = next(item.version for item in simple.opset_import if item.domain in {"", "ai.onnx"})

    def folder(*, unroll: bool) -> Path:
        return saved_model_of(simple.graph, opset, contract, fits, workspace, unroll=unroll)

    return Forms(
        flatbuffer=float_flatbuffer(folder(unroll=False)),
        unrolled=(lambda: float_flatbuffer(folder(unroll=True))) if is_recurrent(simple.graph) else None,
        to_onnx=lambda: exported(fixed, fits, contract) or saved_model_to_onnx(folder(unroll=True), contract),
    )
