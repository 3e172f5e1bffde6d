"""Real windows for calibration and evaluation, checked before anything is built on them.

`converters.window_sources` has where they come from. Their parts are those of `edge_sdk.windowing.Window`, before
preprocessing: ``waveform`` (n, time, channels) and ``features`` (n, features), as the contract needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from converters.truth import read_groups, read_labels, read_targets
from converters.window_parts import check_variety, checked_part, oddities, unused_arrays
from converters.window_sources import RawWindows, Source, collect_windows
from converters.window_sources.raw import refused
from edge_sdk.contracts import ModelContract, ModelInput
from edge_sdk.preprocessing import apply_step
from edge_sdk.tensors import FloatArray

# Activation ranges from fewer windows than this are chance.
MINIMUM_WINDOWS = 50


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


def read_windows(
    source: Source,
    contract: ModelContract,
    *,
    labelled: bool,
    progress: Callable[[float], None] = lambda _done: None,
) -> WindowSet:
    """Collect windows from a source, check them, and prepare them with the preprocessing that the device runs.

    Args:
        source: As `converters.window_sources.collect_windows` takes it.
        contract: What the model reads and answers.
        labelled: Whether the truth must be there.
        progress: Told which fraction of a folder is read.

    Raises:
        ConfigError: There is no such source.
        ConversionError: Windows no one should build on; says which and why.
    """
    raw = collect_windows(source, contract, labelled=labelled, progress=progress)
    return prepare_windows(raw, contract, labelled=labelled)


def prepare_windows(raw: RawWindows, contract: ModelContract, *, labelled: bool) -> WindowSet:
    """Check and prepare what a source gave.

    Raises:
        ConversionError: Windows no one should build on; says which and why.
    """
    reads, answers = contract.input, contract.output
    given = {wanted.name: checked_part(raw, wanted) for wanted in reads.inputs}
    count = _count(raw, {len(values) for values in given.values()})
    for wanted in reads.inputs:
        check_variety(raw, wanted, given[wanted.name])
    labels = read_labels(raw, answers.labels, count=count) if labelled and answers.labels else None
    remarks = [note for wanted in reads.inputs for note in oddities(wanted, given[wanted.name])]
    remarks += unused_arrays(raw)
    if labels is not None:
        remarks += [f"none is of class '{label.name}'" for at, label in enumerate(answers.labels) if at not in labels]
    return WindowSet(
        inputs={wanted.name: _prepared(raw, wanted, given[wanted.name]) for wanted in reads.inputs},
        labels=labels,
        targets=read_targets(raw, answers.quantities, count=count) if labelled and answers.quantities else None,
        groups=read_groups(raw, count=count),
        remarks=(*raw.remarks, *dict.fromkeys(f"windows in {raw.origin}: {note}" for note in remarks)),
    )


def _count(raw: RawWindows, counts: set[int]) -> int:
    if len(counts) != 1:
        raise refused(raw.origin, "its arrays have different numbers of windows", "write one row a window in each")
    (count,) = counts
    if count < MINIMUM_WINDOWS:
        raise refused(raw.origin, f"{count} windows are too few", f"give at least {MINIMUM_WINDOWS} real ones")
    return count


def _prepared(raw: RawWindows, wanted: ModelInput, windows: FloatArray) -> FloatArray:
    problem = ""
    with np.errstate(all="ignore"):  # the result is judged instead
        try:
            prepared: FloatArray = reduce(apply_step, wanted.steps, windows)
        except ValueError as error:
            problem = f"the steps of input '{wanted.name}' do not fit its shape ({error})"
            raise refused(raw.origin, problem, "correct their constants in the contract") from error
    if prepared.shape != windows.shape:
        problem = f"the steps of input '{wanted.name}' make shape {prepared.shape[1:]} of {windows.shape[1:]}"
    elif not np.isfinite(prepared).all():
        problem = f"the steps of input '{wanted.name}' make values that are not finite"
    if problem:
        raise refused(raw.origin, problem, "correct their constants in the contract")
    return prepared
