"""TensorFlow SavedModels: folders that Keras or TensorFlow exported."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.importers.fitting import InputFit, Shape, choose_output, fit_inputs
from converters.importers.folders import digest_of_files, files_in
from converters.importers.onnx_forms import Forms, forms_of
from converters.importers.onnx_simplify import with_sizes
from converters.importers.saved_model_safety import check_harmless
from converters.importers.tensorflow import (
    components,
    export_saved_model,
    first_line,
    float_flatbuffer,
    saved_model_to_onnx,
)
from converters.models import FloatModel, Predict
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

_PREFERRED = ("serve", "serving_default")
_BATCH = 256


def import_saved_model(path: Path, contract: ModelContract, workspace: Path) -> FloatModel:
    """Load a SavedModel and give it a batch of one and the contract's names.

    Raises:
        ConversionError: No SavedModel, with operators that reach beyond it, or not of the contract.
    """
    files = files_in(path)
    loops = check_harmless(path)
    loaded = _loaded(path)
    serve = _signature(loaded, path)
    fits = fit_inputs(_inputs(serve), contract)
    output = choose_output(_outputs(serve, fits), contract.output)
    folder = Path(tempfile.mkdtemp(prefix="saved-model-", dir=workspace))

    def call(tensors: Mapping[str, Any]) -> Any:
        import tensorflow as tf  # noqa: PLC0415

        given = {fit.source: tf.transpose(tf.reshape(tensors[fit.name], fit.expanded), fit.permutation) for fit in fits}
        return tf.reshape(serve(**given)[output], (1, contract.output.width))

    export_saved_model(loaded, contract, folder, call=call)
    forms = _forms(folder, contract, workspace, loops=loops)
    return FloatModel(
        contract=contract,
        flatbuffer=forms.flatbuffer,
        predict=_predict_with(serve, fits, output, contract.output.width),
        to_onnx=forms.to_onnx,
        unrolled=forms.unrolled,
        source_name=path.name,
        source_sha256=digest_of_files(path, files),
        source_bytes=sum(file.stat().st_size for file in files),
        components=components("tensorflow", "keras", "numpy"),
        remarks=tuple(fit.remark for fit in fits if fit.remark),
    )


def _forms(folder: Path, contract: ModelContract, workspace: Path, *, loops: bool) -> Forms:
    """Return the forms of a SavedModel with a batch of one.

    LiteRT's converter takes no loop that was traced for any batch. What tf2onnx makes of it has fixed sizes, and can be
    written out step by step.
    """
    if not loops:
        flatbuffer = float_flatbuffer(folder)
        return Forms(flatbuffer=flatbuffer, unrolled=None, to_onnx=lambda: saved_model_to_onnx(folder, contract))
    import onnx  # noqa: PLC0415  # heavy, and few models need it

    proto = onnx.ModelProto.FromString(saved_model_to_onnx(folder, contract))
    shapes = {item.name: (1, *item.shape) for item in contract.input.inputs}
    fits = fit_inputs(shapes, contract)
    return forms_of(with_sizes(proto, shapes, contract.output.name), fits, contract, workspace)


def _loaded(path: Path) -> Any:
    import tensorflow as tf  # noqa: PLC0415  # heavy, and only this function needs it

    try:
        return tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow raises many kinds for a damaged model
        raise ConversionError(
            f"{path} cannot be loaded as a SavedModel ({first_line(error)})", remedy="export it again, the whole folder"
        ) from error


def _signature(loaded: Any, path: Path) -> Any:
    signatures = loaded.signatures
    names = [name for name in _PREFERRED if name in signatures] or list(signatures)
    if len(names) > 1 and names[0] not in _PREFERRED:
        raise ConversionError(
            f"{path} has the signatures {', '.join(names)}, and none is called {' or '.join(_PREFERRED)}",
            remedy="export it with one signature",
        )
    if not names:
        raise ConversionError(f"{path} has no signature", remedy="save it with model.export(), or with signatures=")
    return signatures[names[0]]


def _inputs(serve: Any) -> dict[str, Shape]:
    specs = serve.structured_input_signature[1]
    for name, spec in specs.items():
        if spec.dtype.name != "float32":
            raise ConversionError(
                f"the model's input '{name}' is {spec.dtype.name}, and the device gives float32",
                remedy="export the model in float32",
            )
        if spec.shape.rank is None:
            raise ConversionError(f"the model's input '{name}' has no shape", remedy="export it with a fixed shape")
    return {name: tuple(spec.shape.as_list()) for name, spec in specs.items()}


def _outputs(serve: Any, fits: Sequence[InputFit]) -> dict[str, Shape]:
    """Return the shapes of the outputs of floats for one window: signatures need not say them."""
    found = _ask(serve, {fit.source: np.zeros(fit.shape, np.float32) for fit in fits})
    return {name: value.shape for name, value in found.items() if value.dtype == np.float32}


def _ask(serve: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    import tensorflow as tf  # noqa: PLC0415

    try:
        found = serve(**{name: tf.constant(value) for name, value in given.items()})
    except Exception as error:  # TensorFlow raises many kinds
        raise ConversionError(
            f"TensorFlow does not run the model ({first_line(error)})", remedy="make the contract's shapes the model's"
        ) from error
    return {name: tensor.numpy() for name, tensor in found.items()}


def _predict_with(serve: Any, fits: Sequence[InputFit], output: str, width: int) -> Predict:
    is_free = all(spec.shape[0] is None for spec in serve.structured_input_signature[1].values())
    step = _BATCH if is_free else 1

    def predict(inputs: dict[str, FloatArray]) -> FloatArray:
        given = {fit.source: fit.given(inputs[fit.name]) for fit in fits}
        count = len(next(iter(given.values())))
        answers = np.empty((count, width), np.float32)
        for row in range(0, count, step):
            batch = {name: values[row : row + step] for name, values in given.items()}
            answers[row : row + step] = _ask(serve, batch)[output].reshape(-1, width)
        return answers

    return predict
