"""The windows of one WFDB record, cut and judged by the code that runs on the device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.window_sources.beat_labels import classes_of
from converters.window_sources.people import groups_of
from converters.window_sources.raw import refused
from converters.window_sources.record import read_annotations, read_channel
from edge_sdk.contracts import ModelContract
from edge_sdk.ec57 import BEAT_CLASSES
from edge_sdk.errors import SignalError
from edge_sdk.quality import assess
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import Window, stream_format, windower_for

_BLOCK_S = 10.0  # seconds of signal at a time: windows do not depend on it


@dataclass(frozen=True, kw_only=True)
class CutRecord:
    """What one record gives.

    Attributes:
        windows: Those to be used.
        labels: The EC57 class of each; empty if none was asked for.
        groups: Which person they are of.
        left_out: How many windows are not used, by reason.
        missed: How many annotated beats no window was found for.
    """

    windows: list[Window]
    labels: list[str]
    groups: dict[str, str]
    left_out: Counter[str]
    missed: int


def cut_record(path: Path, contract: ModelContract, *, labelled: bool) -> CutRecord:
    """Cut a record, given without its extension.

    Raises:
        ConversionError: The record is broken, or a device would refuse it.
    """
    wanted = stream_format(contract.input)
    notes = read_annotations(path) if labelled else None
    channel = read_channel(path, wanted)
    windows = _windows(channel.samples, contract)
    reasons = [_fault(channel.samples, window, wanted.sample_rate_hz) for window in windows]
    labels, missed = [""] * len(windows), 0
    if notes:
        labels, missed = _classes(path, windows, notes, wanted.sample_rate_hz)
        taught = {label.name for label in contract.output.labels}
        reasons = [reason or _misfit(found, taught) for reason, found in zip(reasons, labels, strict=True)]
    used = [number for number, reason in enumerate(reasons) if not reason]
    return CutRecord(
        windows=[windows[number] for number in used],
        labels=[labels[number] for number in used],
        groups=groups_of(channel.comments),
        left_out=Counter(reason for reason in reasons if reason),
        missed=missed,
    )


def _windows(samples: FloatArray, contract: ModelContract) -> list[Window]:
    windower = windower_for(contract.input)
    block = max(1, round(_BLOCK_S * stream_format(contract.input).sample_rate_hz))
    windows = [window for at in range(0, len(samples), block) for window in windower.push(samples[at : at + block])]
    return windows + windower.flush()


def _fault(samples: FloatArray, window: Window, sample_rate_hz: float) -> str:
    """Return why a device would not show a window to the model; empty if it would."""
    raw = samples[max(0, window.start_index) : max(0, window.end_index)]
    return assess(raw, sample_rate_hz=sample_rate_hz).reason


def _misfit(found: str, taught: set[str]) -> str:
    """Return why a beat of a class, or without one, cannot be judged; empty if it can."""
    if found in taught:
        return ""
    return f"of class {found}" if found in BEAT_CLASSES else found


def _classes(
    path: Path, windows: list[Window], notes: tuple[NDArray[np.int64], list[str]], sample_rate_hz: float
) -> tuple[list[str], int]:
    anchors: NDArray[np.int64] = np.array([window.anchor_index for window in windows], np.int64)
    try:
        return classes_of(anchors, *notes, sample_rate_hz=sample_rate_hz)
    except SignalError as error:
        raise refused(str(path), f"its annotations cannot be used ({error.problem})", error.remedy) from error
