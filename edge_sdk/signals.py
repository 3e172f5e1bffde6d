"""What a source delivers: a stream's format and its blocks of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

SignalKind = Literal["ecg", "ppg", "accelerometer"]


class SignalFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers in a stream mean.

    Attributes:
        kind: What is measured.
        unit: UCUM unit of every sample.
        channels: Names of the columns, e.g. ``("MLII",)``.
        sample_rate_hz: Samples per second and channel.
    """

    kind: SignalKind
    unit: str
    channels: tuple[str, ...]
    sample_rate_hz: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleBlock:
    """Consecutive samples of one stream.

    Attributes:
        start_index: Number of samples of this stream before this block.
        start_time_ns: UTC time of the first sample, nanoseconds since 1970.
        samples: float32, shape (n, channels), in the format's unit; NaN marks a missing sample.
    """

    start_index: int
    start_time_ns: int
    samples: NDArray[np.float32]

    @property
    def end_index(self) -> int:
        """Index of the first sample after this block."""
        return self.start_index + len(self.samples)
