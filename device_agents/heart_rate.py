"""Heart rate of one stream; see `device_agents.vitals` for many."""

from __future__ import annotations

import numpy as np

from device_agents.vitals import HeartRateBank, rates_per_minute
from edge_sdk.tensors import IntArray

_ONLY: IntArray = np.zeros(1, np.int64)


class HeartRate:
    """A rate about every five seconds, from the latest intervals and never from old ones."""

    def __init__(self, *, sample_rate_hz: float) -> None:
        self._bank = HeartRateBank(sample_rate_hz=sample_rate_hz)
        self._bank.resize(1)

    def beat(self, *, index: int, rr_s: float) -> float | None:
        """Take a beat and its distance from the one before; return beats per minute when it is time for one.

        An interval that is unknown, or too long to be one, makes a gap: what was measured before it is forgotten.
        """
        rates = self._bank.step(_ONLY, np.array([index]), np.array([rr_s], np.float32))
        return round(float(rates.per_minute[0]), 1) if len(rates.per_minute) else None

    def gap(self) -> None:
        """Forget the intervals so far: the next beat's neighbour is unknown."""
        self._bank.gap(_ONLY)


def rate_per_minute(rr_s: list[float]) -> float:
    """Return the rate of two or more intervals, as `device_agents.vitals.rates_per_minute` does."""
    return round(float(rates_per_minute(np.array([rr_s], np.float32))[0]), 1)
