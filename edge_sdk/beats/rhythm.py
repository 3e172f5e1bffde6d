"""Rhythm of a beat: its intervals against the patient's own, over seconds, half a minute and minutes.

Ratios of RR intervals, taken against the patient's running values and not those of the training set, are what carries
over from patient to patient: P. de Chazal et al., IEEE Trans Biomed Eng 51(7):1196 (2004); M. Llamedo and
J. P. Martínez, IEEE Trans Biomed Eng 58(3):616 (2011).
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge_sdk.tensors import FloatArray

SHORTEST_RR_S, LONGEST_RR_S = 0.2, 3.0
_FEW, _SOME, _MANY = 10, 40, 300
_PATTERN = 6
_USUAL_RR_S = 0.8

RHYTHM_FEATURES = (
    "rr_before_to_last_10",
    "rr_before_to_last_40",
    "rr_before_to_last_300",
    "rr_before_to_slow_300",
    "rr_before_to_quick_300",
    "rr_after_to_last_10",
    "rr_after_to_last_40",
    "rr_after_to_before",
    "rr_after_to_slow_300",
    "rr_both_to_last_40",
    *(f"rr_{back}_back_to_last_40" for back in range(1, _PATTERN + 1)),
)


class Rhythm:
    """Remembers a patient's last RR intervals as logarithms of seconds; its state is bounded."""

    def __init__(self) -> None:
        self._past: deque[float] = deque(maxlen=_MANY)

    def features(self, rr_before_s: float, rr_after_s: float) -> FloatArray:
        """Return `RHYTHM_FEATURES` of the next beat, float32, and remember it.

        Args:
            rr_before_s: Seconds since the previous R peak; NaN for the first beat.
            rr_after_s: Seconds to the next R peak, or more than `LONGEST_RR_S` when none came.
        """
        past = np.array(self._past or [_log_s(rr_before_s)])
        before, after = _log_s(rr_before_s), _log_s(rr_after_s)
        if np.isfinite(rr_before_s):
            self._past.append(before)
        return _compare(before, after, past)


def _log_s(interval_s: float) -> float:
    if not np.isfinite(interval_s):
        interval_s = _USUAL_RR_S
    return float(np.log(min(max(interval_s, SHORTEST_RR_S), LONGEST_RR_S)))


def _compare(before: float, after: float, past: NDArray[np.float64]) -> FloatArray:
    few, some = past[-_FEW:], past[-_SOME:]
    usual, recent = float(np.median(few)), float(some.mean())
    quick, typical, slow = _quantiles(past, 0.1, 0.5, 0.9)
    both = float(np.log((np.exp(before) + np.exp(after)) / 2))
    pattern = np.full(_PATTERN, recent)
    pattern[: len(past)] = past[: -_PATTERN - 1 : -1]
    return np.array(
        [
            before - usual,
            before - recent,
            before - typical,
            before - slow,
            before - quick,
            after - usual,
            after - recent,
            after - before,
            after - slow,
            both - recent,
            *(pattern - recent),
        ],
        np.float32,
    )


def _quantiles(past: NDArray[np.float64], *shares: float) -> list[float]:
    places = [int(share * (len(past) - 1)) for share in shares]
    ordered = np.partition(past, places)
    return [float(ordered[place]) for place in places]
