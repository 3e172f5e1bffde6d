"""Windows from a folder of WFDB records, cut and judged by the code that runs on the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from converters.window_sources.cutting import CutRecord, cut_record
from converters.window_sources.people import UNKNOWN
from converters.window_sources.raw import Array, RawWindows, refused
from edge_sdk.contracts import BeatWindows, ModelContract
from edge_sdk.ec57 import BEAT_CLASSES

Progress = Callable[[float], None]


def from_records(folder: Path, contract: ModelContract, *, labelled: bool, progress: Progress) -> RawWindows:
    """Cut every record that ``RECORDS`` lists, or else every one that has a header, as a device does.

    Windows of bad signal are left out, as on the device. With ``labelled``, so are heartbeats without an annotated one
    within 150 ms, in ventricular flutter, or of a class that is not among the contract's labels.

    Args:
        folder: Where the records are.
        contract: How they are cut; with ``labelled``, its labels are classes of EC57.
        labelled: Whether the truth is needed.
        progress: Told which fraction is read.

    Raises:
        ConversionError: A record that a device would refuse, or no truth for what the model answers.
    """
    origin = str(folder)
    if contract.input.reads_records:
        raise refused(origin, "the model reads facts about a person, not a stream", "give them as a .csv or .npz")
    if labelled:
        _check_labels(origin, contract)
    found: dict[str, CutRecord] = {}
    names = _names(folder)
    for number, name in enumerate(names):
        progress(number / len(names))
        found[name] = cut_record(folder / name, contract, labelled=labelled)
    account = _account(list(found.values()))
    used = sum(len(record.windows) for record in found.values())
    if not used:
        raise refused(origin, f"no record has a window to use{account}", "give other records")
    remark = f"windows in {origin}: {used} are used{account}"
    return RawWindows(origin=origin, arrays=_arrays(found, contract, labelled=labelled), remarks=(remark,))


def _names(folder: Path) -> list[str]:
    listed = folder / "RECORDS"
    if listed.is_file():
        names = [line.strip() for line in listed.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    else:
        names = sorted(path.stem for path in folder.glob("*.hea") if not path.name.startswith("."))
    if not names:
        raise refused(str(folder), "there is no WFDB record", "name a folder with a RECORDS file or with .hea files")
    return names


def _check_labels(origin: str, contract: ModelContract) -> None:
    names = [label.name for label in contract.output.labels]
    if isinstance(contract.input.windows, BeatWindows) and names and set(names) <= set(BEAT_CLASSES):
        return
    wanted = f"labels {', '.join(names)} of its windows" if names else "quantities"
    raise refused(
        origin,
        f"annotations tell heartbeats' classes {', '.join(BEAT_CLASSES)}, not the model's {wanted}",
        "give the windows and their truth as an .npz, or by a Python function",
    )


def _arrays(found: dict[str, CutRecord], contract: ModelContract, *, labelled: bool) -> dict[str, Array]:
    records = list(found.values())
    windows = [window for record in records for window in record.windows]
    arrays: dict[str, Array] = {
        wanted.takes: np.stack([getattr(window, wanted.takes) for window in windows])
        for wanted in contract.input.inputs
    }
    if labelled:
        arrays["labels"] = np.array([label for record in records for label in record.labels], np.str_)
    counts = [len(record.windows) for record in records]
    groups = {"record": list(found)}
    groups |= {name: [record.groups[name] for record in records] for name in records[0].groups}
    for name, values in groups.items():
        if set(values) != {UNKNOWN}:
            arrays[f"group_{name}"] = np.repeat(np.array(values, np.str_), counts)
    return arrays


def _account(found: list[CutRecord]) -> str:
    """Return in words what is not used of the records."""
    left_out = sum((record.left_out for record in found), Counter[str]())
    words = [f"{count} left out ({reason})" for reason, count in sorted(left_out.items())]
    missed = sum(record.missed for record in found)
    if missed:
        words.append(f"{missed} annotated beats were not found")
    return "".join(f", {word}" for word in words)
