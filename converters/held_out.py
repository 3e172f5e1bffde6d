"""Whether evaluation windows are held out: a proof on windows that the model was fitted to proves nothing."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from converters.calibration import WindowSet
from edge_sdk.errors import ConversionError

# A few may be alike by chance, or by a slip in cutting overlapping windows; more are a leak.
LARGEST_SHARE = 0.01
_CHANCE_MARGIN = 2


def check_held_out(evaluation: WindowSet, seen: WindowSet, *, what: str) -> tuple[str, ...]:
    """Return what a reader should know about windows that are in both sets.

    Facts about people can be alike by chance: how many, is told by those that are alike in the evaluation set itself.

    Args:
        evaluation: What the proof rests on.
        seen: What the model or its ranges were fitted to.
        what: What that was for, e.g. ``calibration``.

    Raises:
        ConversionError: More than 1 % of the evaluation windows are among those.
    """
    digests = _digests(evaluation)
    shared = np.flatnonzero(np.isin(digests, _digests(seen)))
    if not len(shared):
        return ()
    problem = (
        f"{len(shared)} of {len(evaluation)} evaluation windows are among the {what} windows too, "
        f"first evaluation window {shared[0]}"
    )
    _, counts = np.unique(digests, return_counts=True)
    by_chance = counts[counts > 1].sum() * len(seen) / len(evaluation)
    if len(shared) > max(LARGEST_SHARE * len(evaluation), _CHANCE_MARGIN * by_chance):
        raise ConversionError(problem, remedy=f"evaluate on patients who are not in the {what} set")
    return (problem,)


def _digests(windows: WindowSet) -> NDArray[np.str_]:
    """Return one digest for each window: of all its inputs."""
    rows = [(values + 0.0).reshape(len(windows), -1) for _, values in sorted(windows.inputs.items())]  # -0.0 is 0.0
    whole = np.ascontiguousarray(np.concatenate(rows, axis=1))
    return np.array([hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in whole], np.str_)
