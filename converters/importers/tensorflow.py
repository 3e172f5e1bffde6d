"""From a TensorFlow SavedModel to the form in the middle. Every importer that goes through TensorFlow ends here."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from edge_sdk.manifest import Component

SIGNATURE = "serve"
ONNX_OPSET = 17


def export_saved_model(model: Any, contract: ModelContract, folder: Path, *, call: Callable[[Any], Any]) -> None:
    """Write a SavedModel with a fixed batch of one under the contract's names.

    Concrete functions are never used: on Keras 3 models they can leave the weights out without an error.

    Args:
        model: What holds the weights.
        contract: Names and shapes.
        folder: Where to.
        call: Maps a dictionary of tensors by the contract's names to the output tensor.
    """
    import tensorflow as tf  # noqa: PLC0415  # heavy, and only this function needs it
    from keras.export import ExportArchive  # noqa: PLC0415

    archive = ExportArchive()
    archive.track(model)
    signature = {
        item.name: tf.TensorSpec((1, *item.shape), tf.float32, name=item.name) for item in contract.input.inputs
    }
    archive.add_endpoint(
        name=SIGNATURE, fn=lambda inputs: {contract.output.name: call(inputs)}, input_signature=[signature]
    )
    archive.write_out(str(folder), verbose=False)


def float_flatbuffer(folder: Path) -> bytes:
    """Return the float32 flatbuffer of a SavedModel that `export_saved_model` wrote.

    Raises:
        ConversionError: It has an operator that LiteRT does not.
    """
    import tensorflow as tf  # noqa: PLC0415

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[SIGNATURE])
    try:
        flatbuffer: bytes = converter.convert()
    except Exception as error:  # the converter raises many kinds
        raise ConversionError(
            f"the model has no LiteRT form ({first_line(error)})", remedy="replace the layer or operator it names"
        ) from error
    return flatbuffer


def saved_model_to_onnx(folder: Path, contract: ModelContract) -> bytes:
    """Return the ONNX form of a SavedModel that `export_saved_model` wrote, under the contract's names.

    Raises:
        ConversionError: It has an operator that ONNX does not.
    """
    import tensorflow as tf  # noqa: PLC0415
    import tf2onnx  # noqa: PLC0415

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures[SIGNATURE]
    names = [item.name for item in contract.input.inputs]
    specs = [tf.TensorSpec((1, *item.shape), tf.float32, name=item.name) for item in contract.input.inputs]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]  # tensorflow has no types
    def call(*tensors: Any) -> Any:
        (answer,) = serve(**dict(zip(names, tensors, strict=True))).values()
        return tf.identity(answer, name=contract.output.name)

    try:
        proto, _ = tf2onnx.convert.from_function(call, input_signature=specs, opset=ONNX_OPSET)
    except Exception as error:  # tf2onnx raises many kinds
        raise ConversionError(
            f"the model has no ONNX form ({first_line(error)})", remedy="choose a board that runs litert"
        ) from error
    _without_erfc(proto)
    return renamed_output(proto, contract.output.name)


def _without_erfc(proto: Any) -> None:
    """Write 1 - erf(x) where tf2onnx wrote an operator that ONNX does not have, as it does for an exact GELU."""
    from onnx import TensorProto, helper  # noqa: PLC0415

    graph, nodes = proto.graph, []
    for number, node in enumerate(graph.node):
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        one, erf = f"erfc_{number}_one", f"erfc_{number}_erf"
        graph.initializer.append(helper.make_tensor(one, TensorProto.FLOAT, [], [1.0]))
        nodes += [helper.make_node("Erf", node.input, [erf]), helper.make_node("Sub", [one, erf], node.output)]
    del graph.node[:]
    graph.node.extend(nodes)


def renamed_output(proto: Any, name: str) -> bytes:
    """Return an ONNX model with its single output under another name."""
    old = proto.graph.output[0].name
    for node in proto.graph.node:
        node.output[:] = [name if tensor == old else tensor for tensor in node.output]
        node.input[:] = [name if tensor == old else tensor for tensor in node.input]
    proto.graph.output[0].name = name
    serialized: bytes = proto.SerializeToString(deterministic=True)
    return serialized


def components(*packages: str) -> tuple[Component, ...]:
    """Return the bill of materials' lines for installed packages."""
    return tuple(
        Component(name=name, version=version(name), purl=f"pkg:pypi/{name}@{version(name)}") for name in packages
    )


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its kind."""
    return next((line for line in str(error).strip().splitlines() if line.strip()), type(error).__name__)
