"""Real windows for calibration and evaluation, checked before anything is built on them.

An ``.npz`` holds the parts of windows as `edge_sdk.windowing.Window` has them: ``waveform`` (n, time, channels),
``features`` (n, features) as the contract needs, and for evaluation ``labels`` (n,), indices of its labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contracts import ModelContract, ModelInput
from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes
from edge_sdk.preprocessing import apply_step
from edge_sdk.tensors import FloatArray

# Activation ranges from fewer windows than this are chance.
MINIMUM_WINDOWS = 50


@dataclass(frozen=True, kw_only=True)
class WindowSet:
    """Prepared model inputs.

    Attributes:
        inputs: float32 by input name, each (n, …).
        labels: int64 (n,), or ``None``.
    """

    inputs: dict[str, FloatArray]
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, chosen: NDArray[np.int64]) -> dict[str, FloatArray]:
        """Return the inputs of some windows."""
        return {name: values[chosen] for name, values in self.inputs.items()}


def read_windows(path: Path, contract: ModelContract, *, labelled: bool) -> WindowSet:
    """Read, check and prepare windows with the preprocessing that the device runs.

    Raises:
        ConversionError: Not such a file, or windows no one should build on; says which array and why.
    """
    arrays = _read_npz(path)
    inputs = {wanted.name: _prepared(path, arrays, wanted) for wanted in contract.input.inputs}
    counts = {len(values) for values in inputs.values()}
    if len(counts) != 1:
        raise _bad(path, "its arrays have different numbers of windows", "write one row a window in each")
    (count,) = counts
    if count < MINIMUM_WINDOWS:
        raise _bad(path, f"{count} windows are too few", f"give at least {MINIMUM_WINDOWS} real ones")
    labels = _labels(path, arrays, count=count, classes=len(contract.output.labels)) if labelled else None
    return WindowSet(inputs=inputs, labels=labels)


def _read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    read_bytes(path, what="window file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, EOFError, AttributeError, KeyError) as error:
        raise _bad(path, f"it is not an .npz of plain arrays ({error})", "write it with numpy.savez") from error


def _prepared(path: Path, arrays: dict[str, NDArray[np.generic]], wanted: ModelInput) -> FloatArray:
    if wanted.takes not in arrays:
        raise _bad(path, f"array '{wanted.takes}' is missing", f"input '{wanted.name}' is made of it")
    raw = arrays[wanted.takes]
    if raw.dtype.kind not in "fiu":
        raise _bad(path, f"array '{wanted.takes}' holds {raw.dtype}", "store numbers")
    windows = raw.astype(np.float32)
    if windows.shape[1:] != wanted.shape:
        raise _bad(
            path, f"'{wanted.takes}' has windows of shape {windows.shape[1:]}", f"the contract says {wanted.shape}"
        )
    if not np.isfinite(windows).all():
        raise _bad(path, f"'{wanted.takes}' has missing or infinite values", "leave those windows out")
    if len(windows) and np.ptp(windows) == 0:
        raise _bad(path, f"'{wanted.takes}' is constant", "give real windows")
    prepared = [reduce(apply_step, wanted.steps, window) for window in windows]
    return np.stack(prepared) if prepared else windows


def _labels(path: Path, arrays: dict[str, NDArray[np.generic]], *, count: int, classes: int) -> NDArray[np.int64]:
    if "labels" not in arrays:
        raise _bad(path, "array 'labels' is missing", "evaluation needs the true class of each window")
    labels = arrays["labels"]
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise _bad(path, f"'labels' is {labels.dtype} of shape {labels.shape}", f"give {count} integers")
    checked = labels.astype(np.int64)
    if checked.min() < 0 or checked.max() >= classes:
        raise _bad(path, f"'labels' run from {checked.min()} to {checked.max()}", f"the contract has {classes} classes")
    return checked


def _bad(path: Path, problem: str, remedy: str) -> ConversionError:
    return ConversionError(f"windows in {path}: {problem}", remedy=remedy)
