"""Is a stretch of signal fit to be classified? A bad window is never given to a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_sdk.tensors import FloatArray

# A span this flat is no living signal: 5 microvolt is one step of a 12-bit, 10 mV converter (MIT-BIH, AHA).
FLAT_MV = 0.005
# A saturated converter repeats its extreme value; a real peak holds it for a few samples at most.
SATURATED_S = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """What was found: ``index`` from 0 (useless) to 1 (clean), and why it is not 1."""

    index: float
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether a model may see it."""
        return self.index > 0


def assess(samples: FloatArray, *, sample_rate_hz: float) -> Quality:
    """Judge raw samples of one ECG lead, float32 of shape (n,), in mV, NaN where missing."""
    missing = ~np.isfinite(samples)
    if missing.any():
        return Quality(index=0.0, reason="missing samples")
    if len(samples) == 0 or np.ptp(samples) <= FLAT_MV:
        return Quality(index=0.0, reason="flat line")
    if _longest_rail(samples) > SATURATED_S * sample_rate_hz:
        return Quality(index=0.0, reason="saturated")
    return Quality(index=1.0)


def _longest_rail(samples: FloatArray) -> int:
    """Return the longest run of samples that stay exactly on the window's highest or lowest value."""
    longest = 0
    for extreme in (samples.max(), samples.min()):
        off = np.flatnonzero(samples != extreme)
        gaps = np.diff(np.concatenate([[-1], off, [len(samples)]])) - 1
        longest = max(longest, int(gaps.max()))
    return longest
