"""The newest samples of many streams: those that wait to be processed, and those that may be looked back at."""

from __future__ import annotations

import math

import numpy as np

from edge_sdk.tensors import FloatArray, IntArray


class SampleRing:
    """One row per lane, in rings of whole hops.

    Args:
        hop: Samples that are processed at a time.
        keep: Processed samples that may be looked back at.
        ahead: Samples that may wait.
        channels: Values of one sample.

    Attributes:
        received: Samples written, per lane, since its stream began.
        taken: Samples processed, per lane; a multiple of ``hop``.
    """

    def __init__(self, *, hop: int, keep: int, ahead: int, channels: int = 1) -> None:
        self._hop, self._ahead = hop, ahead
        self._hops = math.ceil(keep / hop) + math.ceil(ahead / hop) + 1
        self._rows: FloatArray = np.zeros((0, self._hops * hop, channels), np.float32)
        self.received: IntArray = np.zeros(0, np.int64)
        self.taken: IntArray = np.zeros(0, np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; what there is stays."""
        more = lanes - len(self.received)
        self._rows = np.concatenate([self._rows, np.zeros((more, *self._rows.shape[1:]), np.float32)])
        self.received = np.concatenate([self.received, np.zeros(more, np.int64)])
        self.taken = np.concatenate([self.taken, np.zeros(more, np.int64)])

    def reset(self, lanes: IntArray) -> None:
        """Begin anew with these lanes."""
        self.received[lanes] = self.taken[lanes] = 0

    def room(self, lane: int) -> int:
        """Return how many samples a lane can take now."""
        return self._ahead - int(self.received[lane] - self.taken[lane])

    def write(self, lanes: IntArray, samples: FloatArray) -> None:
        """Append samples, shape (lanes, n, channels), to different lanes that have room for them."""
        count = samples.shape[1]
        size = self._rows.shape[1]
        places = (self.received[lanes, np.newaxis] + np.arange(count)) % size
        self._rows[lanes[:, np.newaxis], places] = samples
        self.received[lanes] += count

    def ready(self) -> IntArray:
        """Return the lanes in which a whole hop waits."""
        return np.flatnonzero(self.received - self.taken >= self._hop)

    def take(self, lanes: IntArray) -> FloatArray:
        """Return the next hop of each lane, shape (hop, lanes) or, with more channels, (hop, lanes, channels)."""
        hops = self._rows.reshape(len(self._rows), self._hops, self._hop, -1)
        samples = hops[lanes, (self.taken[lanes] // self._hop) % self._hops]
        self.taken[lanes] += self._hop
        if samples.shape[2] == 1:
            return np.ascontiguousarray(samples[:, :, 0].T)
        return np.ascontiguousarray(np.swapaxes(samples, 0, 1))

    def cut(self, lane: int, start: int, end: int) -> FloatArray:
        """Return a lane's samples from ``start`` to before ``end``, shape (n, channels), as far as they are kept."""
        size = self._rows.shape[1]
        first = max(start, 0, int(self.received[lane]) - size)
        places = np.arange(first, max(first, min(end, int(self.received[lane])))) % size
        stretch: FloatArray = self._rows[lane, places]
        return stretch
