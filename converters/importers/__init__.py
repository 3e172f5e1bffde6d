"""From what people have to a `FloatModel`. One file each, listed here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters.importers.keras import import_keras
from converters.importers.litert import import_litert
from converters.importers.onnx import import_onnx
from converters.importers.pytorch import import_pytorch
from converters.importers.saved_model import import_saved_model
from converters.importers.sklearn import import_sklearn
from converters.importers.sklearn_files import PICKLES
from converters.models import FloatModel
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError

Importer = Callable[[Path, ModelContract, Path], FloatModel]
IMPORTERS: dict[str, Importer] = {
    ".keras": import_keras,
    ".h5": import_keras,
    ".onnx": import_onnx,
    ".pt2": import_pytorch,
    ".pt": import_pytorch,  # which refuses pickles, with what to do
    ".pth": import_pytorch,
    ".tflite": import_litert,
    ".skops": import_sklearn,
    **dict.fromkeys(PICKLES, import_sklearn),
}


def importer_for(path: Path) -> Importer:
    """Return the importer for a model file, by its extension; a folder is a SavedModel.

    Raises:
        ConversionError: No importer reads that kind.
    """
    if path.is_dir():
        return import_saved_model
    if path.suffix not in IMPORTERS:
        kinds = ", ".join(kind for kind in IMPORTERS if kind not in PICKLES)
        raise ConversionError(
            f"model {path.name} is of a kind that no importer reads",
            remedy=f"give one of {kinds}, or a SavedModel's folder",
        )
    return IMPORTERS[path.suffix]
