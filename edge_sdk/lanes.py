"""Many streams side by side: each is a *lane* of a *bank*, whose steps are done for all lanes with one call of numpy.

Samples come in *hops* of a tenth of a second. Every lane counts its own samples from its reset, and nothing a lane
gives depends on the other lanes, on how many there are, or on when they step.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edge_sdk.tensors import FloatArray, IntArray

HOP_S = 0.1
_Rows = TypeVar("_Rows", bound=NDArray[np.generic])


def hop_of(sample_rate_hz: float) -> int:
    """Return how many samples every bank takes at a time."""
    return max(1, round(HOP_S * sample_rate_hz))


def grown(rows: _Rows, lanes: int) -> _Rows:
    """Return a copy of an array with a row per lane, with room for so many lanes; new rows hold anything."""
    larger = np.empty((lanes, *rows.shape[1:]), rows.dtype)
    larger[: len(rows)] = rows
    return larger  # type: ignore[return-value]  # the same dtype and dimensions


class Hops:
    """Cuts the samples of one stream, the only lane of a bank, into hops.

    Args:
        hop: Samples of each.

    Attributes:
        received: Samples taken.
    """

    def __init__(self, hop: int) -> None:
        self._hop, self._waiting = hop, list[FloatArray]()
        self._rest = self.received = 0

    def push(self, samples: FloatArray) -> list[FloatArray]:
        """Take samples of shape (n, ...) and return the hops they complete, each of shape (hop, 1, ...)."""
        self.received += len(samples)
        self._rest += len(samples)
        self._waiting.append(samples)
        if self._rest < self._hop:
            return []
        pending = np.concatenate(self._waiting, dtype=np.float32)
        self._rest = len(pending) % self._hop
        whole = len(pending) - self._rest
        self._waiting = [pending[whole:].copy()]
        return list(pending[:whole].reshape(-1, self._hop, 1, *pending.shape[1:]))

    def flush(self) -> list[FloatArray]:
        """Return the last hop, filled with missing samples; none if there is no rest."""
        if not self._rest:
            return []
        lacking = np.full((self._hop - self._rest, *self._waiting[0].shape[1:]), np.nan, np.float32)
        hops = self.push(lacking)
        self.received -= len(lacking)
        return hops


class SignalRing:
    """The newest samples of each lane, so kept that any stretch lies in one piece: the ring's start is kept twice.

    Args:
        hop: Samples that come at a time.
        keep: How far back a stretch may begin, in samples, at least.
        reach: Samples of a stretch.
        channels: Values of a sample.

    Attributes:
        received: Samples of each lane since its reset, int64 (lanes,).
    """

    def __init__(self, *, hop: int, keep: int, reach: int, channels: int = 1) -> None:
        self._hop, self._reach = hop, reach
        self._slots, self._twice = -(-keep // hop) + 1, -(-reach // hop)
        self._rows: FloatArray = np.empty((0, self._slots + self._twice, hop, channels), np.float32)
        self.received: IntArray = np.empty(0, np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        fresh = np.arange(len(self._rows), lanes)
        self._rows, self.received = grown(self._rows, lanes), grown(self.received, lanes)
        self.reset(fresh)

    def reset(self, lanes: IntArray) -> None:
        """Begin new streams: what was before their first sample is zero."""
        self._rows[lanes] = 0
        self.received[lanes] = 0

    def write(self, lanes: IntArray, samples: FloatArray) -> None:
        """Append a hop, shape (hop, k) or (hop, k, channels)."""
        blocks = np.ascontiguousarray(samples.swapaxes(0, 1)).reshape(len(lanes), *self._rows.shape[2:])
        received = self.received[lanes]
        slots = received // self._hop % self._slots
        self._rows[lanes, slots] = blocks
        start = slots < self._twice
        if start.any():
            self._rows[lanes[start], slots[start] + self._slots] = blocks[start]
        self.received[lanes] = received + self._hop

    def cut(self, lanes: IntArray, starts: IntArray) -> FloatArray:
        """Return the stretches from these samples on, one of each lane given: shape (k, reach, channels).

        Samples before a lane's first are zero. Lanes may repeat.
        """
        lane, _, sample, channel = self._rows.strides
        size = self._slots * self._hop
        shape = (len(self._rows), size, self._reach, self._rows.shape[3])
        stretches = as_strided(self._rows, shape, (lane, sample, sample, channel), writeable=False)
        found: FloatArray = stretches[lanes, starts % size]
        return found
