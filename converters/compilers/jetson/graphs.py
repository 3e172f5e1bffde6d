"""Reading and running ONNX on the workstation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray, TensorSpec


def read_onnx(data: bytes) -> Any:
    """Return the ``ModelProto`` of an ONNX file.

    Raises:
        ConversionError: Not such a file.
    """
    import onnx  # noqa: PLC0415  # only the workstation has it

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own kinds
        raise ConversionError(
            "this is no ONNX model: it cannot be decoded", remedy="give a whole .onnx file"
        ) from error
    if not model.graph.node:
        raise ConversionError("this is no ONNX model: it has no operator", remedy="give a whole .onnx file")
    return model


def write_onnx(model: Any) -> bytes:
    """Return the bytes of a model: the same for the same model, nodes in order, naming the operator sets it uses."""
    _sort(model.graph)
    used = {node.domain for node in nodes(model.graph)} | {""}
    kept = [item for item in model.opset_import if item.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _sort(graph: Any) -> None:
    """Put nodes after those they read from, as the standard asks; tools leave new ones at the end."""
    made = {name for node in graph.node for name in node.output}
    waiting, ordered, done = [(node, _reads(node) & made) for node in graph.node], [], set[str]()
    while waiting:
        late = []
        for node, needed in waiting:
            if needed <= done:
                ordered.append(node)
                done.update(node.output)
            else:
                late.append((node, needed))
        if len(late) == len(waiting):
            raise ConversionError(
                "the ONNX model's operators read from each other in a circle", remedy="export it again"
            )
        waiting = late
    del graph.node[:]
    graph.node.extend(ordered)


def _reads(node: Any) -> set[str]:
    inner = [attribute.g for attribute in node.attribute] + [
        g for attribute in node.attribute for g in attribute.graphs
    ]
    return set(node.input) | {name for graph in inner for each in nodes(graph) for name in each.input}


def nodes(graph: Any) -> Iterator[Any]:
    """Yield every node, also those inside loops and branches."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes(inner)


def require_standard_operators(data: bytes) -> None:
    """Return if ONNX knows every operator; exporters may write down what they cannot translate.

    Raises:
        ConversionError: It does not; says which.
    """
    import onnx  # noqa: PLC0415

    model = read_onnx(data)
    versions = {item.domain: item.version for item in model.opset_import}
    for node in nodes(model.graph):
        try:
            onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
        except onnx.defs.SchemaError as error:
            raise ConversionError(
                f"ONNX has no operator {node.op_type} ('{node.name}')", remedy="replace the layer it names in the model"
            ) from error


class OnnxModel:
    """An ONNX model, loaded in onnxruntime on the CPU.

    Attributes:
        inputs: Each input, in the model's order.
        output: The output.

    Raises:
        ConversionError: onnxruntime does not load it, or it is not of one float32 output and fixed shapes.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime  # noqa: PLC0415  # native, and only the child needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen kinds of its own
            raise ConversionError(
                f"the ONNX model does not load in onnxruntime ({first_line(error)})",
                remedy="replace the layer or operator it names",
            ) from error
        self.inputs = tuple(_spec(item) for item in self._session.get_inputs())
        outputs = self._session.get_outputs()
        if len(outputs) != 1:
            raise ConversionError(f"the ONNX model has {len(outputs)} outputs", remedy="give it one")
        self.output = _spec(outputs[0])

    def predict(self, windows: dict[str, FloatArray]) -> FloatArray:
        """Return outputs, float32 of shape (n, width), for inputs by name, each (n, …)."""
        count = len(next(iter(windows.values())))
        answers = np.empty((count, *self.output.shape[1:]), np.float32)
        for row in range(count):
            window = {name: values[row : row + 1] for name, values in windows.items()}
            answers[row] = self._session.run([self.output.name], window)[0][0]
        return answers


def _spec(item: Any) -> TensorSpec:
    if item.type != "tensor(float)" or not all(isinstance(size, int) for size in item.shape):
        raise ConversionError(
            f"the ONNX model's '{item.name}' is {item.type} of shape {item.shape}",
            remedy="export it with float32 inputs and outputs and a fixed batch of one",
        )
    return TensorSpec(name=item.name, shape=tuple(item.shape), dtype="float32")
