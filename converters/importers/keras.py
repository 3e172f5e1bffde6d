"""Keras 3 models: ``.keras`` and ``.h5``."""

from __future__ import annotations

import gc
import json
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from converters.models import FloatModel
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes, sha256_hex
from edge_sdk.manifest import Component
from edge_sdk.tensors import FloatArray

_BATCH = 1024
_HDF5 = b"\x89HDF\r\n\x1a\n"  # how every HDF5 file begins, by its specification


def import_keras(path: Path, contract: ModelContract, workspace: Path) -> FloatModel:
    """Load a Keras model and export it as a SavedModel with a fixed batch of one.

    Concrete functions are never used: on Keras 3 models they can leave the weights out without an error.

    Raises:
        ConversionError: Not a Keras model, or its inputs and output are not those of the contract.
    """
    data = read_bytes(path, what="model")
    _check_container(path, data)
    model = _loaded(path)
    _check_contract(model, contract)
    saved_model = workspace / "saved_model"
    _export(model, contract, saved_model)
    return FloatModel(
        contract=contract,
        saved_model=str(saved_model),
        predict=lambda inputs: _predict(model, inputs),
        source_name=path.name,
        source_sha256=sha256_hex(data),
        source_bytes=len(data),
        components=tuple(
            Component(name=name, version=version(name), purl=f"pkg:pypi/{name}@{version(name)}")
            for name in ("keras", "tensorflow", "numpy")
        ),
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
        made_by, why = _made_by(path), _first_line(error)
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
    classes = len(contract.output.labels)
    shapes = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    if shapes != [(classes,)]:
        raise ConversionError(
            f"the model's outputs are {shapes}, the contract has {classes} labels", remedy="give one output, (labels,)"
        )


def _export(model: Any, contract: ModelContract, folder: Path) -> None:
    import tensorflow as tf  # noqa: PLC0415
    from keras.export import ExportArchive  # noqa: PLC0415

    archive = ExportArchive()
    archive.track(model)
    signature = {
        item.name: tf.TensorSpec((1, *item.shape), tf.float32, name=item.name) for item in contract.input.inputs
    }
    archive.add_endpoint(
        name="serve",
        fn=lambda inputs: {contract.output.name: model(inputs, training=False)},
        input_signature=[signature],
    )
    archive.write_out(str(folder), verbose=False)


def _predict(model: Any, inputs: dict[str, FloatArray]) -> FloatArray:
    return np.asarray(model.predict(inputs, batch_size=_BATCH, verbose=0), dtype=np.float32)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
