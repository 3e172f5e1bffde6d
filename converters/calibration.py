"""Real windows for calibration and evaluation, checked before anything is built on them.

An ``.npz`` holds the parts of windows as `edge_sdk.windowing.Window` has them: ``waveform`` (n, time, channels),
``features`` (n, features) as the contract needs, and for evaluation ``labels`` (n,), indices of its labels, or
``targets`` (n, quantities) in their units. An array ``group_NAME`` (n,) says which group each window belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_sdk.contracts import Label, ModelContract, ModelInput
from edge_sdk.errors import ConversionError
from edge_sdk.files import read_bytes
from edge_sdk.preprocessing import apply_step
from edge_sdk.tensors import FloatArray

# Activation ranges from fewer windows than this are chance.
MINIMUM_WINDOWS = 50
_GROUP = "group_"

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, kw_only=True)
class WindowSet:
    """Prepared model inputs.

    Attributes:
        inputs: float32 by input name, each (n, …).
        labels: int64 (n,), or ``None``: not known, or the model estimates quantities.
        targets: float32 (n, quantities) in their units, or ``None``: not known, or the model classifies.
        groups: By name, e.g. ``sex``: which group each window belongs to, text (n,).
        remarks: What a reader of the report should know about them.
    """

    inputs: dict[str, FloatArray]
    labels: NDArray[np.int64] | None = None
    targets: FloatArray | None = None
    groups: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, chosen: NDArray[np.int64]) -> dict[str, FloatArray]:
        """Return the inputs of some windows."""
        return {name: values[chosen] for name, values in self.inputs.items()}


def read_windows(source: str | Path, contract: ModelContract, *, labelled: bool) -> WindowSet:
    """Read, check and prepare windows with the preprocessing that the device runs.

    Raises:
        ConversionError: Not such a file, or windows no one should build on; says which array and why.
    """
    return prepare_windows(_read_npz(Path(source)), contract, labelled=labelled, origin=str(source))


def prepare_windows(arrays: Arrays, contract: ModelContract, *, labelled: bool, origin: str) -> WindowSet:
    """Check and prepare raw arrays, by the names the module's words give, with the preprocessing that the device runs.

    Args:
        arrays: What was read.
        contract: What the model reads and answers.
        labelled: Whether the truth must be among them.
        origin: Where they come from, for messages.

    Raises:
        ConversionError: Windows no one should build on; says which array and why.
    """
    inputs = {wanted.name: _prepared(origin, arrays, wanted) for wanted in contract.input.inputs}
    counts = {len(values) for values in inputs.values()}
    if len(counts) != 1:
        raise _bad(origin, "its arrays have different numbers of windows", "write one row a window in each")
    (count,) = counts
    if count < MINIMUM_WINDOWS:
        raise _bad(origin, f"{count} windows are too few", f"give at least {MINIMUM_WINDOWS} real ones")
    answers = contract.output
    return WindowSet(
        inputs=inputs,
        labels=_labels(origin, arrays, count=count, names=answers.labels) if labelled and answers.labels else None,
        targets=_targets(origin, arrays, shape=(count, len(answers.quantities)))
        if labelled and answers.quantities
        else None,
        groups=_groups(origin, arrays, count=count),
    )


def _read_npz(path: Path) -> Arrays:
    read_bytes(path, what="window file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, EOFError, AttributeError, KeyError) as error:
        raise _bad(str(path), f"it is not an .npz of plain arrays ({error})", "write it with numpy.savez") from error


def _prepared(origin: str, arrays: Arrays, wanted: ModelInput) -> FloatArray:
    if wanted.takes not in arrays:
        raise _bad(origin, f"array '{wanted.takes}' is missing", f"input '{wanted.name}' is made of it")
    raw = arrays[wanted.takes]
    if raw.dtype.kind not in "fiu":
        raise _bad(origin, f"array '{wanted.takes}' holds {raw.dtype}", "store numbers")
    windows = raw.astype(np.float32)
    if windows.shape[1:] != wanted.shape:
        raise _bad(
            origin, f"'{wanted.takes}' has windows of shape {windows.shape[1:]}", f"the contract says {wanted.shape}"
        )
    if not np.isfinite(windows).all():
        raise _bad(origin, f"'{wanted.takes}' has missing or infinite values", "leave those windows out")
    if len(windows) and np.ptp(windows) == 0:
        raise _bad(origin, f"'{wanted.takes}' is constant", "give real windows")
    prepared = [reduce(apply_step, wanted.steps, window) for window in windows]
    return np.stack(prepared) if prepared else windows


def _labels(origin: str, arrays: Arrays, *, count: int, names: tuple[Label, ...]) -> NDArray[np.int64]:
    if "labels" not in arrays:
        raise _bad(origin, "array 'labels' is missing", "evaluation needs the true class of each window")
    labels = arrays["labels"]
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise _bad(origin, f"'labels' is {labels.dtype} of shape {labels.shape}", f"give {count} integers")
    checked = labels.astype(np.int64)
    if checked.min() < 0 or checked.max() >= len(names):
        raise _bad(
            origin, f"'labels' run from {checked.min()} to {checked.max()}", f"the contract has {len(names)} classes"
        )
    return checked


def _targets(origin: str, arrays: Arrays, *, shape: tuple[int, int]) -> FloatArray:
    if "targets" not in arrays:
        raise _bad(origin, "array 'targets' is missing", "evaluation needs the true quantities of each window")
    targets = arrays["targets"]
    if targets.dtype.kind not in "fiu" or targets.shape not in {shape, shape[:1] if shape[1] == 1 else shape}:
        raise _bad(origin, f"'targets' is {targets.dtype} of shape {targets.shape}", f"give numbers of shape {shape}")
    checked = targets.astype(np.float32).reshape(shape)
    if not np.isfinite(checked).all():
        raise _bad(origin, "'targets' has missing or infinite values", "leave those windows out")
    return checked


def _groups(origin: str, arrays: Arrays, *, count: int) -> dict[str, NDArray[np.str_]]:
    groups = {name[len(_GROUP) :]: values for name, values in arrays.items() if name.startswith(_GROUP)}
    for name, values in groups.items():
        if values.shape != (count,) or values.dtype.kind not in "iuUSb":
            raise _bad(
                origin,
                f"'{_GROUP}{name}' is {values.dtype} of shape {values.shape}",
                f"give one name or number for each of the {count} windows",
            )
    return {name: values.astype(np.str_) for name, values in sorted(groups.items())}


def _bad(origin: str, problem: str, remedy: str) -> ConversionError:
    return ConversionError(f"windows in {origin}: {problem}", remedy=remedy)
