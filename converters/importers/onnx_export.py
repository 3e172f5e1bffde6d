"""An imported ONNX model in the form that boards' compilers take: batch of one, the contract's names and order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converters.importers.fitting import InputFit
from converters.importers.tensorflow import ONNX_OPSET
from edge_sdk.contracts import ModelContract

_PREFIX = "source/"  # no name of the contract begins so


def exported(fixed: Any, fits: Sequence[InputFit], contract: ModelContract) -> bytes | None:
    """Return the model under the contract's names; ``None`` if its operators have no newer form.

    Args:
        fixed: The ``ModelProto``, with fixed sizes and one output.
        fits: How the contract's inputs become its own.
        contract: Names and shapes.
    """
    import onnx.compose  # noqa: PLC0415  # heavy, and only this function needs it

    if any(node.domain == "ai.onnx.ml" for node in fixed.graph.node):
        return None  # no board's compiler knows them
    lifted = _lifted(fixed)
    if lifted is None:
        return None
    onnx.compose.add_prefix(lifted, _PREFIX, inplace=True)
    graph = lifted.graph
    weights = [item for item in graph.input if item.name in {tensor.name for tensor in graph.initializer}]
    for number, fit in reversed(list(enumerate(fits))):
        for node in reversed(_before(fit, graph, number)):
            graph.node.insert(0, node)
    del graph.input[:]
    graph.input.extend(
        onnx.helper.make_tensor_value_info(item.name, onnx.TensorProto.FLOAT, (1, *item.shape))
        for item in contract.input.inputs
    )
    graph.input.extend(weights)
    _after(graph, contract)
    try:
        onnx.checker.check_model(lifted)
    except onnx.checker.ValidationError:
        return None
    serialized: bytes = lifted.SerializeToString(deterministic=True)
    return serialized


def _lifted(fixed: Any) -> Any:
    import onnx.version_converter  # noqa: PLC0415

    version = next(item.version for item in fixed.opset_import if item.domain in {"", "ai.onnx"})
    copy = onnx.ModelProto()
    copy.CopyFrom(fixed)
    if version >= ONNX_OPSET:
        return copy
    try:
        return onnx.version_converter.convert_version(onnx.shape_inference.infer_shapes(copy), ONNX_OPSET)
    except Exception:  # noqa: BLE001  # the converter raises many kinds where it does not know an operator
        return None


def _before(fit: InputFit, graph: Any, number: int) -> list[Any]:
    """Return the nodes that make the model's input of the contract's."""
    import numpy as np  # noqa: PLC0415
    import onnx  # noqa: PLC0415

    shape = f"shape_of_input_{number}"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(fit.expanded, np.int64), shape))
    expanded = f"expanded_input_{number}"
    return [
        onnx.helper.make_node("Reshape", [fit.name, shape], [expanded], name=f"expand_input_{number}"),
        onnx.helper.make_node(
            "Transpose", [expanded], [_PREFIX + fit.source], name=f"order_input_{number}", perm=fit.permutation
        ),
    ]


def _after(graph: Any, contract: ModelContract) -> None:
    """Add the node that makes the contract's output of the model's."""
    import numpy as np  # noqa: PLC0415
    import onnx  # noqa: PLC0415

    shape = np.array((1, contract.output.width), np.int64)
    graph.initializer.append(onnx.numpy_helper.from_array(shape, "shape_of_output"))
    graph.node.append(
        onnx.helper.make_node(
            "Reshape", [graph.output[0].name, "shape_of_output"], [contract.output.name], name="shape_output"
        )
    )
    del graph.output[:]
    graph.output.append(
        onnx.helper.make_tensor_value_info(contract.output.name, onnx.TensorProto.FLOAT, (1, contract.output.width))
    )
