"""Which class each detected heartbeat is of, by a cardiologist's annotations (ANSI/AAMI EC57)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_sdk.ec57 import MATCH_WINDOW_S, annotated_beats, ventricular_flutter_spans

UNMATCHED = "no annotated beat within 150 ms"
FLUTTER = "in ventricular flutter"

Indices = NDArray[np.int64]


def classes_of(
    r_indices: Indices, samples: Indices, symbols: Sequence[str], *, sample_rate_hz: float
) -> tuple[list[str], int]:
    """Return the EC57 class of each detected beat, and how many annotated beats none was found for.

    A detection and an annotated beat belong together when each is the other's nearest, at most 150 ms away.

    Args:
        r_indices: Detected R peaks, int64 (n,), increasing.
        samples: Where the annotations are, int64 (annotations,).
        symbols: What they say.
        sample_rate_hz: What both count in.

    Returns:
        For each detection its class, or why it has none: `UNMATCHED` or `FLUTTER`.

    Raises:
        SignalError: Annotated beats are not in order.
    """
    reference = annotated_beats(samples, symbols)
    if not len(reference.samples) or not len(r_indices):
        return [UNMATCHED] * len(r_indices), len(reference.samples)
    nearest = _nearest(r_indices, reference.samples)
    mutual = _nearest(reference.samples, r_indices)[nearest] == np.arange(len(r_indices))
    close = np.abs(reference.samples[nearest] - r_indices) <= MATCH_WINDOW_S * sample_rate_hz
    matched = mutual & close
    found = np.where(matched, reference.classes[nearest].astype(object), UNMATCHED)
    for first, last in ventricular_flutter_spans(samples, symbols):
        found[(first <= r_indices) & (r_indices <= last)] = FLUTTER
    return found.tolist(), len(reference.samples) - int(matched.sum())


def _nearest(of: Indices, among: Indices) -> Indices:
    """Return for each index the place of the nearest one in an increasing list that is not empty."""
    after = np.searchsorted(among, of).clip(1, max(len(among) - 1, 1))
    after = np.minimum(after, len(among) - 1)
    before = np.maximum(after - 1, 0)
    nearer: Indices = np.where(of - among[before] <= among[after] - of, before, after)
    return nearer
