"""Giving a flatbuffer's inputs and output the contract's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converters.flatbuffers import read_model, write_model
from converters.importers.tensorflow import SIGNATURE
from edge_sdk.errors import ConversionError

# A mark that converters from StableHLO, PyTorch's and JAX's, leave in a file. TensorFlow's quantizer then does not take
# weights for constants: it keeps every layer in float and says nothing.
_HIDES_CONSTANTS = b"keep_stablehlo_constant"


def with_signature(flatbuffer: bytes, *, inputs: Sequence[str], output: str) -> bytes:
    """Return the same model with ``serve`` as its only signature, fit to be quantized.

    Args:
        flatbuffer: A model whose main graph has one output.
        inputs: A name for each input of the main graph, in its order.
        output: A name for its output.

    Raises:
        ConversionError: The main graph has not that many inputs, or not one output.
    """
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415  # only a workstation has it

    model = read_model(flatbuffer)
    graph = model.subgraphs[0]
    _check_counts(graph, inputs)

    def named(name: str, index: int) -> Any:
        return schema.TensorMapT(name=name, tensorIndex=int(index))

    signature = schema.SignatureDefT(
        signatureKey=SIGNATURE,
        inputs=[named(name, index) for name, index in zip(inputs, graph.inputs, strict=True)],
        outputs=[named(output, graph.outputs[0])],
        subgraphIndex=0,
    )
    model.signatureDefs = [signature]
    model.metadata = [entry for entry in model.metadata or [] if entry.name != _HIDES_CONSTANTS]
    return write_model(model)


def _check_counts(graph: Any, inputs: Sequence[str]) -> None:
    if len(graph.inputs) != len(inputs) or len(graph.outputs) != 1:
        raise ConversionError(
            f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, and the contract "
            f"{len(inputs)} inputs and one output",
            remedy="name an input in the contract for each of the model's, and give the model one output",
        )
