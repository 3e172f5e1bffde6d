"""Bringing an ONNX graph into the form that is translated: fixed sizes, constants computed, functions written out."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.importers.onnx_graph import every_node, inner_graphs
from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError

_HALVES = (0.5,)
_ONES = (1.0,)


def with_sizes(proto: Any, shapes: Mapping[str, tuple[int, ...]], output: str) -> Any:
    """Return a copy whose inputs have these shapes, and whose only output is the given tensor."""
    import onnx  # noqa: PLC0415

    fixed = onnx.ModelProto()
    fixed.CopyFrom(proto)
    weights = {tensor.name for tensor in fixed.graph.initializer}
    for item in fixed.graph.input:
        if item.name not in weights:
            sizes = item.type.tensor_type.shape
            sizes.ClearField("dim")
            for size in shapes[item.name]:
                sizes.dim.add().dim_value = size
    del fixed.graph.output[:]
    fixed.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    del fixed.graph.value_info[:]  # what was inferred for other sizes
    return fixed


def without_zip_maps(proto: Any) -> Any:
    """Return a copy in which a classifier's probabilities are a tensor, not dictionaries."""
    import onnx  # noqa: PLC0415

    plain = onnx.ModelProto()
    plain.CopyFrom(proto)
    maps = {node.output[0]: node for node in plain.graph.node if node.op_type == "ZipMap"}
    for item in plain.graph.output:
        if item.name in maps:
            node = maps[item.name]
            item.CopyFrom(onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None))
            plain.graph.node.remove(node)
    return plain


def simplified(proto: Any, translated: Collection[str], workspace: Path) -> Any:
    """Return the graph with all that does not depend on the input computed, and unknown operators written out.

    Args:
        proto: With fixed sizes.
        translated: Operators that are known.
        workspace: A folder for what is made on the way.

    Raises:
        ConversionError: onnxruntime does not run it.
    """
    import onnx.inliner  # noqa: PLC0415

    folded = _folded(onnx.inliner.inline_local_functions(proto), workspace)
    unknown = [node for node in folded.graph.node if node.op_type not in translated]
    if unknown:
        _give_defaults(unknown, folded.opset_import)
        kinds = sorted({(node.domain, node.op_type) for node in unknown})
        written_out = onnx.inliner.inline_selected_functions(folded, kinds, inline_schema_functions=True)
        folded = _folded(written_out, workspace)
    _join_gelu(folded.graph)
    _drop_idle_normalizers(folded.graph)
    return folded


def _drop_idle_normalizers(graph: Any) -> None:
    """Leave out what divides probabilities by their sum, which is one: scikit-learn's exporter adds it."""
    chances = {
        node.output[1]
        for node in graph.node
        for item in node.attribute
        if node.op_type == "LinearClassifier" and item.name == "post_transform" and item.s == b"SOFTMAX"
    }
    for node in graph.node:
        norms = [item.s for item in node.attribute if item.name == "norm"]
        if node.op_type == "Normalizer" and node.input[0] in chances and norms == [b"L1"]:
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]


def _give_defaults(nodes: Sequence[Any], imports: Sequence[Any]) -> None:
    """Write down the attributes that nodes leave out: the inliner would leave them out of the functions, too."""
    import onnx  # noqa: PLC0415

    versions = {item.domain: item.version for item in imports}
    for node in nodes:
        if not onnx.defs.has(node.op_type, versions.get(node.domain, 1), node.domain):
            continue
        given = {item.name for item in node.attribute}
        attributes = onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain).attributes
        node.attribute.extend(
            item.default_value for name, item in attributes.items() if name not in given and item.default_value.name
        )


def _folded(proto: Any, workspace: Path) -> Any:
    """Return the graph as onnxruntime's basic optimizations leave it: they use standard operators only."""
    import onnx  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    with tempfile.TemporaryDirectory(dir=workspace) as folder:
        file = Path(folder) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(file)
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            return onnx.load(file)
        except Exception as error:  # onnxruntime has an error for each of its status codes
            raise ConversionError(
                f"onnxruntime does not run the model ({first_line(error)})", remedy="export it again, with its weights"
            ) from error


def _join_gelu(graph: Any) -> None:
    """Put ``Gelu`` where older exporters wrote it out around ``Erf``: it is one operator in LiteRT, ``Erf`` is none."""
    import onnx  # noqa: PLC0415

    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Erf"]:
        found = _gelu_around(node, graph, constants)
        if found is None:
            continue
        x, last = found
        at = list(graph.node).index(last)
        gelu = onnx.helper.make_node("Gelu", [x], list(last.output), name=node.name)
        graph.node.remove(last)
        graph.node.insert(at, gelu)
    _drop_unused(graph)


def _gelu_around(erf: Any, graph: Any, constants: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the input of a GELU around this node, and its last node."""
    makers = {name: node for node in graph.node for name in node.output}

    def takers(name: str) -> list[Any]:
        return [node for node in graph.node if name in node.input]

    x = _scaled_by(makers.get(erf.input[0]), constants, math.sqrt(0.5))
    plus = [node for node in takers(erf.output[0]) if _other(node, "Add", erf.output[0], constants) in _ONES]
    if x is None or len(plus) != 1:
        return None
    product, missing, half = plus[0].output[0], True, True
    last = None
    while missing or half:
        following = takers(product)
        if len(following) != 1 or following[0].op_type != "Mul":
            return None
        last = following[0]
        (other,) = [name for name in last.input if name != product] or [product]
        if half and _number(other, constants) in _HALVES:
            half = False
        elif missing and other == x:
            missing = False
        elif missing and half and _scaled_by(makers.get(other), constants, 0.5) == x:
            missing = half = False
        else:
            return None
        product = last.output[0]
    return x, last


def _scaled_by(node: Any, constants: Mapping[str, Any], factor: float) -> str | None:
    """Return what a node multiplies by this factor."""
    if node is None or node.op_type not in {"Mul", "Div"}:
        return None
    for x, other in (node.input, reversed(node.input)) if node.op_type == "Mul" else (node.input,):
        by = _number(other, constants)
        if by is not None and math.isclose(by if node.op_type == "Mul" else 1 / by, factor, rel_tol=1e-4):
            return str(x)
    return None


def _other(node: Any, operator: str, name: str, constants: Mapping[str, Any]) -> float | None:
    others = [other for other in node.input if other != name]
    return _number(others[0], constants) if node.op_type == operator and len(others) == 1 else None


def _number(name: str, constants: Mapping[str, Any]) -> float | None:
    value = constants.get(name)
    return float(np.ravel(value)[0]) if value is not None and np.size(value) == 1 else None


def _drop_unused(graph: Any) -> None:
    kept = {item.name for item in graph.output}
    for node in reversed(list(graph.node)):
        if kept.intersection(node.output):
            kept.update(node.input, *(inner.input for graph in inner_graphs(node) for inner in every_node(graph)))
        else:
            graph.node.remove(node)
