"""The last seconds of a stream as they came in, by sample index, with the time of each."""

from __future__ import annotations

import numpy as np

from edge_sdk.signals import SampleBlock
from edge_sdk.tensors import FloatArray


class RecentSignal:
    """Keeps at least the last ``keep_s`` seconds before the newest block, and that block.

    Args:
        sample_rate_hz: Samples per second.
        keep_s: Longest that anything may look back.
    """

    def __init__(self, *, sample_rate_hz: float, keep_s: float) -> None:
        self._rate, self._keep = sample_rate_hz, round(keep_s * sample_rate_hz)
        self._samples: FloatArray = np.empty(0, np.float32)
        self._start_index = self._first_time_ns = 0

    @property
    def end_index(self) -> int:
        """Index after the newest sample."""
        return self._start_index + len(self._samples)

    def push(self, block: SampleBlock) -> None:
        """Take the next block of one channel."""
        self._samples = np.concatenate([self._samples[-self._keep :], block.samples[:, 0]])
        self._start_index = block.end_index - len(self._samples)
        self._first_time_ns = block.start_time_ns - self._duration_ns(block.start_index)

    def cut(self, start_index: int, end_index: int) -> FloatArray:
        """Return the raw samples from ``start_index`` to before ``end_index``, as far as they are kept."""
        return self._samples[max(0, start_index - self._start_index) : max(0, end_index - self._start_index)]

    def time_ns(self, index: int) -> int:
        """Return a sample's UTC time, nanoseconds since 1970."""
        return self._first_time_ns + self._duration_ns(index)

    def _duration_ns(self, samples: int) -> int:
        # Rounded from the stream's start, as sources do, so that a time does not depend on the block it came in.
        return round(samples * 1e9 / self._rate)
