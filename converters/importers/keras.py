"""Keras 3 models: ``.keras`` and ``.h5``."""

from __future__ import annotations

import gc
import json
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.importers.keras_scaling import without_normalization
from converters.importers.scaling import with_steps, without_steps
from converters.importers.tensorflow import (
    components,
    export_saved_model,
    first_line,
    float_flatbuffer,
    saved_model_to_onnx,
)
from converters.models import FloatModel, Predict
from edge_sdk.contracts import ModelContract, Standardize
from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes, sha256_hex
from edge_sdk.tensors import FloatArray

_BATCH = 1024
_MOVED = "the model's Normalization layers are steps of its inputs: they are done in float, before the model"
_HDF5 = b"\x89HDF\r\n\x1a\n"  # how every HDF5 file begins, by its specification


def import_keras(path: Path, contract: ModelContract, workspace: Path) -> FloatModel:
    """Load a Keras model. Normalization layers at its inputs become steps of the contract's inputs.

    Raises:
        ConversionError: Not a Keras model, or its inputs and output are not those of the contract.
    """
    data = read_bytes(path, what="model")
    _check_container(path, data)
    origin = Origin(name=path.name, sha256=sha256_hex(data), size_bytes=len(data))
    source = _loaded(path)
    _check_contract(source, contract)
    network, moved = without_normalization(source)
    for name, step in moved.items():
        contract = with_steps(contract, name, [step])
    model = float_model(network, contract, workspace, origin)
    return replace(model, predict=_predict_before(source, moved), remarks=(_MOVED,)) if moved else model


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The file a model came from."""

    name: str
    sha256: str
    size_bytes: int


def float_model(model: Any, contract: ModelContract, workspace: Path, origin: Origin) -> FloatModel:
    """Return the stages' first type for a Keras model in memory.

    Raises:
        ConversionError: Its inputs and output are not those of the contract.
    """
    _check_contract(model, contract)
    folder = Path(tempfile.mkdtemp(prefix="keras-", dir=workspace))
    _export(model, contract, folder)
    return FloatModel(
        contract=contract,
        flatbuffer=float_flatbuffer(folder),
        predict=lambda inputs: _predict(model, inputs),
        to_onnx=lambda: saved_model_to_onnx(folder, contract),
        unrolled=(lambda: _unrolled_flatbuffer(model, contract, workspace)) if _recurrent(model) else None,
        trainable=model,
        source_name=origin.name,
        source_sha256=origin.sha256,
        source_bytes=origin.size_bytes,
        components=components("keras", "tensorflow", "numpy"),
    )


def _check_container(path: Path, data: bytes) -> None:
    # Keras takes seconds to be imported; a file of another kind is told from its first bytes.
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise _not_loaded(path, "it is not a zip, or was cut short")
    if path.suffix == ".h5" and not data.startswith(_HDF5):
        raise _not_loaded(path, "it is not an HDF5 file")


def _loaded(path: Path) -> Any:
    gc.disable()  # nothing of what an import makes is garbage; looking for it takes a fifth of the time
    try:
        import keras  # noqa: PLC0415  # heavy, and only this function needs it
    finally:
        gc.enable()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a wrong file
        made_by, why = _made_by(path), first_line(error)
        if made_by in ("", keras.__version__):
            raise _not_loaded(path, why) from error
        raise ConversionError(
            f"{path} was saved by Keras {made_by}, and Keras {keras.__version__} cannot load it ({why})",
            remedy=f"install keras=={made_by} here, or save the model again with Keras {keras.__version__}",
        ) from error


def _made_by(path: Path) -> str:
    """Return the version of Keras that saved a ``.keras`` file; empty when it does not say."""
    try:
        with zipfile.ZipFile(path) as container:
            return str(json.loads(container.read("metadata.json"))["keras_version"])
    except (zipfile.BadZipFile, ValueError, KeyError):
        return ""


def _not_loaded(path: Path, why: str) -> ConversionError:
    return ConversionError(
        f"{path} cannot be loaded as a Keras model ({why})", remedy="save it again with model.save()"
    )


def _check_contract(model: Any, contract: ModelContract) -> None:
    found = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    wanted = {item.name: item.shape for item in contract.input.inputs}
    if found != wanted:
        raise ConversionError(f"the model's inputs are {found}, the contract's {wanted}", remedy="make them the same")
    width = contract.output.width
    shapes = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    if shapes != [(width,)]:
        raise ConversionError(
            f"the model's outputs are {shapes}, and the contract's output has {width} values",
            remedy=f"give one output of shape ({width},), or correct labels, quantities or activation",
        )


def _export(model: Any, contract: ModelContract, folder: Path) -> None:
    export_saved_model(model, contract, folder, call=lambda inputs: model(_as_called(model, inputs), training=False))


def _recurrent(model: Any) -> bool:
    """Return whether the model loops over time in a layer that can be unrolled."""
    return any(getattr(layer, "unroll", None) is False for layer in model._flatten_layers())  # noqa: SLF001


def _unrolled_flatbuffer(model: Any, contract: ModelContract, workspace: Path) -> bytes:
    """Return the flatbuffer of the same weights with every recurrent layer written out step by step."""
    import keras  # noqa: PLC0415

    def unrolled(layer: Any) -> Any:
        config = _written_out(layer.get_config())
        return layer.__class__.from_config(config)

    model.compiled = False  # a clone is compiled like its model, and what that was trained with may be no configuration
    twin = keras.models.clone_model(model, clone_function=unrolled)
    twin.set_weights(model.get_weights())
    folder = Path(tempfile.mkdtemp(prefix="unrolled-", dir=workspace))
    _export(twin, contract, folder)
    return float_flatbuffer(folder)


def _written_out(config: Any) -> Any:
    # Bidirectional and other wrappers hold the configuration of the layer inside them.
    if isinstance(config, dict):
        return {key: True if key == "unroll" else _written_out(value) for key, value in config.items()}
    return config


def _predict_before(source: Any, moved: dict[str, Standardize]) -> Predict:
    """Return what asks the whole model, its Normalization layers included."""

    def predict(inputs: dict[str, FloatArray]) -> FloatArray:
        steps = {name: [moved[name]] if name in moved else [] for name in inputs}
        given = {name: without_steps(values, steps[name]).astype(np.float32) for name, values in inputs.items()}
        return _predict(source, given)

    return predict


def _predict(model: Any, inputs: dict[str, FloatArray]) -> FloatArray:
    return np.asarray(model.predict(_as_called(model, inputs), batch_size=_BATCH, verbose=0), dtype=np.float32)


def _as_called(model: Any, inputs: dict[str, Any]) -> Any:
    # Keras takes several inputs by name, but warns when a single one has a name that its maker did not give it.
    if len(inputs) > 1 or isinstance(getattr(model, "_inputs_struct", None), dict):
        return inputs
    return next(iter(inputs.values()))
