"""From what people have to a `FloatModel`. One file each, listed here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters.importers.keras import import_keras
from converters.importers.onnx import import_onnx
from converters.importers.pytorch import import_pytorch
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
    ".skops": import_sklearn,
    **dict.fromkeys(PICKLES, import_sklearn),
}


def importer_for(path: Path) -> Importer:
    """Return the importer for a model file, by its extension.

    Raises:
        ConversionError: No importer reads that kind.
    """
    if path.suffix not in IMPORTERS:
        raise ConversionError(
            f"model {path.name} is of a kind that no importer reads", remedy=f"give one of {', '.join(IMPORTERS)}"
        )
    return IMPORTERS[path.suffix]
