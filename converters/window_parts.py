"""The arrays that windows come in: what forbids using them, and what should be known about them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.window_sources.raw import GROUP, RawWindows, check_finite, nearest, refused
from edge_sdk.contracts import ModelInput
from edge_sdk.tensors import FloatArray

_ARRAYS = ("waveform", "features", "labels", "targets")


def checked_part(raw: RawWindows, wanted: ModelInput) -> FloatArray:
    """Return the part of the windows that an input takes, float32 (n, …).

    Raises:
        ConversionError: It is missing, of another shape or type, or has values that are no finite numbers.
    """
    name = wanted.takes
    values = raw.array(name, why=f"input '{wanted.name}' is made of it")
    if values.dtype.kind not in "fiub":
        raise refused(raw.origin, f"array '{name}' holds {values.dtype}", "store numbers")
    if values.ndim == 0 or values.shape[1:] != wanted.shape:
        turned = "; swap the axes" if values.shape[:0:-1] == wanted.shape else ""
        raise refused(
            raw.origin,
            f"'{name}' has windows of shape {values.shape[1:]}",
            f"the contract says {wanted.shape}{turned}",
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused for that
        windows: FloatArray = values.astype(np.float32)
    check_finite(raw, name, windows)
    return windows


def check_variety(raw: RawWindows, wanted: ModelInput, windows: FloatArray) -> None:
    """Return if not all windows are the same.

    Raises:
        ConversionError: They are.
    """
    if np.ptp(windows) == 0:
        raise refused(raw.origin, f"'{wanted.takes}' is constant", "give real windows")
    if (windows == windows[0]).all():
        raise refused(raw.origin, f"every window's '{wanted.takes}' is the same", "give windows of many people")


def oddities(wanted: ModelInput, windows: FloatArray) -> Iterator[str]:
    """Yield what does not forbid using windows but should be known."""
    values = windows if wanted.features else windows.reshape(len(windows), wanted.shape[0], -1)
    still = np.flatnonzero(np.ptp(values.reshape(-1, values.shape[-1]), axis=0) == 0)
    for column in still:
        name = f"feature '{wanted.features[column]}'" if wanted.features else f"channel {column} of the waveform"
        yield f"{name} never varies"
    flat = 0 if wanted.features else np.count_nonzero(np.ptp(values, axis=1).max(axis=1) == 0)
    if flat:
        yield f"{flat} are flat lines, which no device shows to a model"


def unused_arrays(raw: RawWindows) -> list[str]:
    """Return a note for each array that means nothing: a slip in ``group_NAME`` must not go unseen."""
    notes = []
    for name in raw.arrays:
        if name not in _ARRAYS and not name.startswith(GROUP):
            hint = nearest(name, [*_ARRAYS, f"{GROUP}{name.partition('_')[2]}"])
            notes.append(f"array '{name}' is not used{f': {hint}' if hint else ''}")
    return notes
