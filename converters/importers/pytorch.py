"""PyTorch models: programs of ``torch.export`` in ``.pt2`` files, and modules in memory."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from converters.importers.keras import Origin
from converters.importers.layout import with_fewer_transposes
from converters.importers.pytorch_files import load_program, need_torch
from converters.importers.pytorch_layers import as_layers, with_folded_normalization
from converters.importers.pytorch_program import channels_first, served, served_program
from converters.importers.signatures import with_signature
from converters.importers.tensorflow import components, first_line
from converters.models import FloatModel, Predict
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes, sha256_hex
from edge_sdk.tensors import FloatArray

_BATCH = 1024
_ONNX_OPSET = 18  # the oldest that PyTorch's exporter writes


def import_pytorch(path: Path, contract: ModelContract, workspace: Path) -> FloatModel:
    """Load an exported program. No pickle is opened, and no code of the file is run.

    Raises:
        ConversionError: No exported program, one for training, or its inputs and output are not those of the contract.
        MissingDependency: PyTorch or its LiteRT converter is not installed.
    """
    data = read_bytes(path, what="model")
    program = load_program(path)
    origin = Origin(name=path.name, sha256=sha256_hex(data), size_bytes=len(data))
    return float_model(served_program(program, contract), contract, workspace, origin)


def import_module(module: Any, contract: ModelContract, workspace: Path, origin: Origin) -> FloatModel:
    """Return the stages' first type for a ``torch.nn.Module`` in memory; the module itself stays as it is.

    Its ``forward`` takes the contract's inputs by their order there: in the contract's shapes or, where it does not
    take those, with the channels first.

    Raises:
        ConversionError: It takes neither, or its output is not that of the contract.
        MissingDependency: PyTorch or its LiteRT converter is not installed.
    """
    torch = need_torch()
    inner = copy.deepcopy(module).cpu().float().eval()
    first = [channels_first(item) for item in contract.input.inputs]

    def as_it_is(network: Any, given: Any) -> Any:
        return network(*given)

    def moved(network: Any, given: Any) -> Any:
        return network(*(x if order is None else x.permute(order) for x, order in zip(given, first, strict=True)))

    problems = []
    for call in (as_it_is, moved):
        try:
            with torch.no_grad():
                call(inner, _zeros(contract))
        except Exception as error:  # noqa: BLE001  # whatever a network's code raises
            problems.append(first_line(error))
        else:
            return float_model(served(inner, call, batched=True), contract, workspace, origin)
    raise ConversionError(
        f"the module does not take the contract's inputs ({problems[0]})", remedy="correct the inputs' shapes or order"
    )


def float_model(module: Any, contract: ModelContract, workspace: Path, origin: Origin) -> FloatModel:
    """Return the stages' first type for a module that takes the contract's inputs.

    Raises:
        ConversionError: Its output is not that of the contract, or LiteRT lacks one of its operators.
    """
    _check_output(module, contract)
    # PyTorch's LiteRT converter leaves batch normalization as a product and a sum, which cost time and int8 accuracy.
    folded = with_folded_normalization(as_layers(module, _zeros(contract)))
    return FloatModel(
        contract=contract,
        flatbuffer=flatbuffer_of(folded, contract, workspace),
        predict=predict_with(module, contract),
        to_onnx=onnx_of(folded, contract),
        trainable=module,
        source_name=origin.name,
        source_sha256=origin.sha256,
        source_bytes=origin.size_bytes,
        components=components("torch", "litert-torch", "numpy"),
    )


def flatbuffer_of(module: Any, contract: ModelContract, workspace: Path) -> bytes:
    """Return the float32 flatbuffer of a module that takes the contract's inputs.

    Raises:
        ConversionError: LiteRT lacks one of its operators.
    """
    import litert_torch  # noqa: PLC0415  # heavy, and only this function needs it

    file = Path(tempfile.mkdtemp(prefix="torch-", dir=workspace)) / "model.tflite"
    try:
        litert_torch.convert(module, _zeros(contract)).export(str(file))
    except Exception as error:  # the converter raises many kinds
        raise ConversionError(
            f"the model has no LiteRT form ({first_line(error)})", remedy="replace the layer or operator it names"
        ) from error
    names = [item.name for item in contract.input.inputs]
    return with_signature(with_fewer_transposes(file.read_bytes()), inputs=names, output=contract.output.name)


def onnx_of(module: Any, contract: ModelContract) -> Callable[[], bytes]:
    """Return what makes the ONNX form of a module that takes the contract's inputs."""

    def make() -> bytes:
        import torch  # noqa: PLC0415

        try:
            made = torch.onnx.export(
                module,
                _zeros(contract),
                dynamo=True,
                verbose=False,
                opset_version=_ONNX_OPSET,
                input_names=[item.name for item in contract.input.inputs],
                output_names=[contract.output.name],
            )
        except Exception as error:  # the exporter raises many kinds
            raise ConversionError(
                f"the model has no ONNX form ({first_line(error)})", remedy="choose a board that runs litert"
            ) from error
        serialized: bytes = made.model_proto.SerializeToString(deterministic=True)
        return serialized

    return make


def predict_with(module: Any, contract: ModelContract) -> Predict:
    """Return what asks PyTorch itself."""

    def predict(inputs: dict[str, FloatArray]) -> FloatArray:
        import torch  # noqa: PLC0415

        given = [
            torch.from_numpy(np.ascontiguousarray(inputs[item.name], np.float32)) for item in contract.input.inputs
        ]
        size = _BATCH if module.batched else 1
        with torch.no_grad():
            answers = [module(*(x[at : at + size] for x in given)).numpy() for at in range(0, len(given[0]), size)]
        return np.concatenate(answers) if answers else np.empty((0, contract.output.width), np.float32)

    return predict


def _check_output(module: Any, contract: ModelContract) -> None:
    import torch  # noqa: PLC0415

    with torch.no_grad():
        shape = tuple(module(*_zeros(contract)).shape)
    if shape != (1, contract.output.width):
        raise ConversionError(
            f"the model's output is {shape[1:]}, and the contract's output has {contract.output.width} values",
            remedy=f"give one output of shape ({contract.output.width},), or correct labels, quantities or activation",
        )


def _zeros(contract: ModelContract) -> tuple[Any, ...]:
    import torch  # noqa: PLC0415

    return tuple(torch.zeros((1, *item.shape)) for item in contract.input.inputs)
