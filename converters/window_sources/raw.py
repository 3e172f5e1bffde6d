"""Windows as a source gives them, under the names that an ``.npz`` has, before anyone has looked at them."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray

GROUP = "group_"  # begins the name of an array that says which group each window belongs to
_LONGEST = 500

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class RawWindows:
    """What a source gave.

    Attributes:
        origin: The source, for messages.
        arrays: By name: ``waveform`` (n, time, channels), ``features`` (n, features), ``labels`` (n,), ``targets``
            (n, quantities), ``group_NAME`` (n,); each as far as the source has it.
        remarks: What the source left out.
    """

    origin: str
    arrays: dict[str, Array]
    remarks: tuple[str, ...] = ()

    def array(self, name: str, *, why: str) -> Array:
        """Return an array.

        Raises:
            ConversionError: It is not there.
        """
        if name not in self.arrays:
            near = nearest(name, self.arrays)
            raise refused(self.origin, f"array '{name}' is missing", f"{why}{f'; {near}' if near else ''}")
        return self.arrays[name]


def refused(origin: str, problem: str, remedy: str) -> ConversionError:
    """Return the error that says why windows are no use and what to do."""
    told = textwrap.shorten(problem, _LONGEST, placeholder=" …")  # in one line, whatever a library said
    return ConversionError(f"windows in {origin}: {told}", remedy=remedy)


def check_finite(raw: RawWindows, name: str, values: FloatArray) -> None:
    """Return if every window of an array, float32 (n, …), is of finite numbers.

    Raises:
        ConversionError: It is not; says how many are not, and which is first.
    """
    bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
    if len(bad):
        raise refused(
            raw.origin,
            f"'{name}' has missing or infinite values in {len(bad)} of {len(values)} windows, first in window {bad[0]}",
            "leave those windows out",
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question for who may have mistyped a name; empty if nothing known is like it."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else ""


def as_array(values: Any) -> Array:
    """Return values as an array; text that is held as objects or bytes becomes text.

    Raises:
        ValueError: They have different shapes.
    """
    array: Array = np.asarray(values)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.flat):
        return array.astype(np.str_)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    return array
