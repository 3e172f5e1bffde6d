"""Reading estimators that skops saved. A pickle is never opened."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

from converters.importers.tensorflow import first_line
from edge_sdk.errors import ConversionError, MissingDependency

PICKLES = (".pkl", ".pickle", ".joblib")


def load_estimator(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return what a file holds, and what a reader of the report should know about it.

    Only types of scikit-learn, numpy and scipy are made, and no code of the file is run.

    Raises:
        ConversionError: A pickle, not such a file, or one with other types.
        MissingDependency: scikit-learn or skops is not installed.
    """
    if path.suffix in PICKLES:
        raise ConversionError(
            f"{path} is not opened: a pickle runs the code that is in it",
            remedy=f"where the model was trained, save it with skops.io.dump(model, '{path.stem}.skops')",
        )
    if not zipfile.is_zipfile(path):
        raise _not_loaded(path, "it is not a zip, or was cut short")
    try:
        import sklearn  # noqa: PLC0415  # heavy, and only this function needs it
        import skops.io  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} is not installed", remedy="run: pip install 'wearable-edge-sdk[convert]'"
        ) from error
    try:
        strangers = skops.io.get_untrusted_types(file=path)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            estimator = None if strangers else skops.io.load(path, trusted=[])
    except Exception as error:  # skops and scikit-learn raise many kinds
        raise _not_loaded(path, f"{first_line(error)}; scikit-learn here is {sklearn.__version__}") from error
    if strangers:
        raise ConversionError(
            f"{path} holds types that are not known to be safe: {', '.join(strangers)}",
            remedy="bring a linear or logistic regression and its scalers alone",
        )
    return estimator, _other_version(path, said, sklearn.__version__)


def _other_version(path: Path, said: list[warnings.WarningMessage], reads: str) -> tuple[str, ...]:
    # An estimator of another version says so in a warning; whether it still answers alike is checked afterwards.
    saved = {str(getattr(item.message, "original_sklearn_version", "")) for item in said} - {""}
    return tuple(f"{path.name} was saved by scikit-learn {version}, and read by {reads}" for version in sorted(saved))


def _not_loaded(path: Path, why: str) -> ConversionError:
    return ConversionError(
        f"{path} cannot be loaded as a scikit-learn model ({why})", remedy="save it again with skops.io.dump"
    )
