"""Windows: what one answer of a model is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge_sdk.beats import FEATURE_NAMES
from edge_sdk.tensors import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """What one answer of the model is about.

    Attributes:
        start_index: First sample, counted from the start of the stream.
        end_index: First sample after it.
        anchor_index: The sample it is about: the R peak, or the window's last sample.
        waveform: float32, shape (time, channels).
        features: float32, shape (features,), those the contract names; empty when it names none.
        rr_s: Seconds since the previous R peak; NaN when there is none.
    """

    start_index: int
    end_index: int
    anchor_index: int
    waveform: FloatArray
    features: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    rr_s: float = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowBatch:
    """Windows of many lanes, one row each, sorted by lane, then time.

    Attributes:
        lane: int64 (b,).
        start_index: int64 (b,), first sample, counted from the start of the lane's stream.
        end_index: int64 (b,), first sample after it.
        anchor_index: int64 (b,), the sample it is about: the R peak, or the window's last sample.
        waveform: float32 (b, time, channels).
        features: float32 (b, features): all of `edge_sdk.beats.FEATURE_NAMES` for heartbeats, none for others.
        rr_s: float64 (b,), seconds since the previous R peak; NaN when there is none.
    """

    lane: IntArray
    start_index: IntArray
    end_index: IntArray
    anchor_index: IntArray
    waveform: FloatArray
    features: FloatArray
    rr_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.lane)

    def where(self, chosen: NDArray[np.bool_]) -> WindowBatch:
        """Return some of the windows, given as a mask of shape (b,)."""
        return WindowBatch(**{part.name: getattr(self, part.name)[chosen] for part in fields(self)})

    def of(self, features: Sequence[str]) -> FloatArray:
        """Return the features of these names, which such windows have, in their order: shape (b, len(features))."""
        names = tuple(features)
        return self.features if names == FEATURE_NAMES else self.features[:, _columns(names)]

    def each(self, features: Sequence[str]) -> list[Window]:
        """Return the windows one by one, with these features."""
        rows = zip(
            self.start_index.tolist(),
            self.end_index.tolist(),
            self.anchor_index.tolist(),
            self.waveform,
            self.of(features),
            self.rr_s.tolist(),
            strict=True,
        )
        return [
            Window(start_index=start, end_index=end, anchor_index=anchor, waveform=waveform, features=told, rr_s=rr_s)
            for start, end, anchor, waveform, told, rr_s in rows
        ]


@cache
def _columns(names: tuple[str, ...]) -> IntArray:
    return np.array([FEATURE_NAMES.index(name) for name in names], np.int64)
