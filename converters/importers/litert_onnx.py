"""The ONNX form of a LiteRT model."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from converters.flatbuffers import read_model
from converters.importers.fitting import InputFit
from converters.importers.onnx_export import exported
from converters.importers.onnx_simplify import with_sizes
from converters.importers.tensorflow import ONNX_OPSET, first_line
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError


def litert_to_onnx(flatbuffer: bytes, contract: ModelContract, workspace: Path) -> bytes:
    """Return the ONNX form of a float32 LiteRT model, under the contract's names.

    Args:
        flatbuffer: With the signature ``serve``, under the contract's names.
        contract: Names and shapes.
        workspace: A folder for what is made on the way.

    Raises:
        ConversionError: It has an operator that ONNX does not.
    """
    import tf2onnx  # noqa: PLC0415  # heavy, and only this function needs it

    model = read_model(flatbuffer)
    (signature,), tensors = model.signatureDefs, model.subgraphs[0].tensors
    sources = {item.name.decode(): tensors[item.tensorIndex].name.decode() for item in signature.inputs}
    with tempfile.TemporaryDirectory(dir=workspace) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reads the file with an interpreter that TensorFlow is going to drop
        file = Path(folder) / "model.tflite"
        file.write_bytes(flatbuffer)
        try:
            proto, _ = tf2onnx.convert.from_tflite(str(file), opset=ONNX_OPSET)
        except Exception as error:  # tf2onnx raises many kinds
            raise _no_form(first_line(error)) from error
    fits = [
        InputFit(
            name=item.name,
            source=sources[item.name],
            expanded=(1, *item.shape),
            order=tuple(range(1 + len(item.shape))),
        )
        for item in contract.input.inputs
    ]
    fixed = with_sizes(proto, {fit.source: fit.shape for fit in fits}, proto.graph.output[0].name)
    made = exported(fixed, fits, contract)
    if made is None:
        raise _no_form("what tf2onnx made is not valid")
    return made


def _no_form(why: str) -> ConversionError:
    return ConversionError(f"the model has no ONNX form ({why})", remedy="choose a board that runs litert")
