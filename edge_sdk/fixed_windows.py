"""Windows of one length, at a fixed distance from each other, of many streams at once."""

from __future__ import annotations

import numpy as np

from edge_sdk.lanes import SignalRing, grown
from edge_sdk.tensors import FloatArray, IntArray
from edge_sdk.windows import WindowBatch


class FixedWindowBank:
    """Windows of ``length`` samples, one every ``every``, beginning with a lane's first sample.

    Args:
        hop: Samples of each lane that `step` takes.
        length: Samples of a window.
        every: Samples from the start of one to the start of the next.
        channels: Values of a sample.

    Attributes:
        hop: See above.
    """

    def __init__(self, *, hop: int, length: int, every: int, channels: int = 1) -> None:
        self.hop, self._length, self._every = hop, length, every
        self._ring = SignalRing(hop=hop, keep=length + hop, reach=length, channels=channels)
        self._next: IntArray = np.empty(0, np.int64)
        self._none = self._windows(np.empty(0, np.int64), np.empty(0, np.int64))

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; new ones are fresh."""
        fresh = np.arange(len(self._next), lanes)
        self._ring.resize(lanes)
        self._next = grown(self._next, lanes)
        self._next[fresh] = 0

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""
        self._ring.reset(lanes)
        self._next[lanes] = 0

    def step(self, lanes: IntArray, samples: FloatArray) -> WindowBatch:
        """Take the next hop of these lanes and return the windows it completes.

        Args:
            lanes: Shape (k,), strictly increasing.
            samples: float32, shape (hop, k) or (hop, k, channels), NaN where missing.
        """
        self._ring.write(lanes, samples)
        ahead = self._ring.received[lanes] - self._length - self._next[lanes]
        due = ahead >= 0
        if not due.any():
            return self._none
        lanes, counts = lanes[due], ahead[due] // self._every + 1
        ranks = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.repeat(self._next[lanes], counts) + self._every * ranks
        self._next[lanes] += self._every * counts
        return self._windows(np.repeat(lanes, counts), starts)

    def finish(self, lanes: IntArray) -> WindowBatch:  # noqa: ARG002  # the protocol's
        """Return nothing: an incomplete window is no window."""
        return self._none

    def _windows(self, lanes: IntArray, starts: IntArray) -> WindowBatch:
        ends = starts + self._length
        return WindowBatch(
            lane=lanes,
            start_index=starts,
            end_index=ends,
            anchor_index=ends - 1,
            waveform=self._ring.cut(lanes, starts),
            features=np.empty((len(lanes), 0), np.float32),
            rr_s=np.full(len(lanes), np.nan),
        )
