"""What evaluation windows are held against: their true classes or quantities, and the groups they belong to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.window_sources.raw import GROUP, Array, RawWindows, check_finite, nearest, refused
from edge_sdk.contracts import Label, OutputQuantity
from edge_sdk.tensors import FloatArray


def read_labels(raw: RawWindows, labels: tuple[Label, ...], *, count: int) -> NDArray[np.int64]:
    """Return the true class of each window, int64 (count,): what ``labels`` says in numbers or in names.

    Raises:
        ConversionError: They do not fit the windows or the contract, or all windows are of one class.
    """
    given = raw.array("labels", why="evaluation needs the true class of each window")
    if given.shape != (count,) or given.dtype.kind not in "iuU":
        raise refused(
            raw.origin,
            f"'labels' is {given.dtype} of shape {given.shape}",
            f"give one whole number or name for each of the {count} windows",
        )
    names = [label.name for label in labels]
    indices = _by_name(raw, given, names) if given.dtype.kind == "U" else given
    if indices.min() < 0 or indices.max() >= len(names):
        raise refused(
            raw.origin,
            f"'labels' run from {indices.min()} to {indices.max()}",
            f"the contract has {len(names)} classes, 0 to {len(names) - 1}",
        )
    checked = indices.astype(np.int64)
    if np.ptp(checked) == 0:
        raise refused(
            raw.origin,
            f"all {count} windows are of class '{names[checked[0]]}'",
            "give windows of other classes too: nothing is shown about a model that cannot be wrong",
        )
    return checked


def _by_name(raw: RawWindows, given: Array, names: list[str]) -> Array:
    texts = np.char.strip(given)
    strangers = texts[~np.isin(texts, names)]
    if not len(strangers):
        index = {name: number for number, name in enumerate(names)}
        return np.array([index[str(text)] for text in texts], np.int64)
    if np.char.isdecimal(texts).all():
        return texts.astype(np.int64)
    raise refused(
        raw.origin,
        f"'{strangers[0]}' is the label of {np.count_nonzero(texts == strangers[0])} windows and not in the contract",
        nearest(str(strangers[0]), names) or f"its labels are {', '.join(names)}",
    )


def read_targets(raw: RawWindows, quantities: tuple[OutputQuantity, ...], *, count: int) -> FloatArray:
    """Return the true quantities of each window in their units, float32 (count, quantities).

    Raises:
        ConversionError: They do not fit the windows or the contract, or never vary.
    """
    shape = (count, len(quantities))
    given = raw.array("targets", why="evaluation needs the true quantities of each window")
    if given.shape not in {shape, shape[:1] if len(quantities) == 1 else shape} or given.dtype.kind not in "fiu":
        raise refused(
            raw.origin, f"'targets' is {given.dtype} of shape {given.shape}", f"give numbers of shape {shape}"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused for that
        checked: FloatArray = given.astype(np.float32).reshape(shape)
    check_finite(raw, "targets", checked)
    for quantity, values in zip(quantities, checked.T, strict=True):
        if np.ptp(values) == 0:
            raise refused(
                raw.origin, f"every window's '{quantity.name}' is {values[0]:g}", "give windows of which it varies"
            )
    return checked


def read_groups(raw: RawWindows, *, count: int) -> dict[str, NDArray[np.str_]]:
    """Return by name which group each window belongs to, text (count,).

    Raises:
        ConversionError: They do not fit the windows.
    """
    groups = {name.removeprefix(GROUP): values for name, values in raw.arrays.items() if name.startswith(GROUP)}
    for name, values in groups.items():
        if values.shape != (count,) or values.dtype.kind not in "iuUb":
            raise refused(
                raw.origin,
                f"'{GROUP}{name}' is {values.dtype} of shape {values.shape}",
                f"give one name or whole number for each of the {count} windows",
            )
    return {name: values.astype(np.str_) for name, values in sorted(groups.items())}
