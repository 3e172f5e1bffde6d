"""Windows and heartbeats of many lanes, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sdk.beats import FEATURE_NAMES
from edge_sdk.contracts import BeatWindows, FixedWindows, InputContract
from edge_sdk.detectors import RPeakDetector
from edge_sdk.tensors import FloatArray, IntArray
from edge_sdk.windowing import FixedWindower, HeartbeatWindower, Window, Windower, stream_format


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowBatch:
    """Windows of any lanes, each lane's in the order of time; the fields are those of `edge_sdk.windowing.Window`.

    Attributes:
        lane: int64, shape (b,).
        start_index: Likewise, and so the other two.
        waveform: float32, shape (b, time, channels).
        features: float32, shape (b, features): of heartbeats every one of `edge_sdk.beats.FEATURE_NAMES`.
        rr_s: float64, shape (b,).
    """

    lane: IntArray
    start_index: IntArray
    end_index: IntArray
    anchor_index: IntArray
    waveform: FloatArray
    features: FloatArray
    rr_s: NDArray[np.float64]

    def __len__(self) -> int:
        """How many windows."""
        return len(self.lane)

    def where(self, chosen: NDArray[np.bool_]) -> WindowBatch:
        """Return some of them."""
        if chosen.all():
            return self
        return WindowBatch(
            lane=self.lane[chosen],
            start_index=self.start_index[chosen],
            end_index=self.end_index[chosen],
            anchor_index=self.anchor_index[chosen],
            waveform=self.waveform[chosen],
            features=self.features[chosen],
            rr_s=self.rr_s[chosen],
        )

    def of(self, names: Sequence[str]) -> FloatArray:
        """Return some features, in the order of their names."""
        if tuple(names) == FEATURE_NAMES:
            return self.features
        return self.features[:, [FEATURE_NAMES.index(name) for name in names]]


class WindowCutter:
    """Cuts the lanes of a bank into windows of one kind.

    Args:
        contract: Of a model that reads such windows.
    """

    def __init__(self, contract: InputContract) -> None:
        self._contract = contract
        self._windowers: dict[int, Windower] = {}

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""

    def reset(self, lanes: IntArray) -> None:
        """Begin new streams in these lanes."""
        for lane in lanes.tolist():
            self._windowers[lane] = self._windower()

    def step(self, lanes: IntArray, samples: FloatArray) -> WindowBatch:
        """Take the next hop, shape (hop, lanes), and return the windows that it completes."""
        return _batch(
            [(lane, window) for at, lane in enumerate(lanes.tolist()) for window in self._push(lane, samples[:, at])]
        )

    def finish(self, lanes: IntArray) -> WindowBatch:
        """Return what the end of these lanes' streams completes."""
        return _batch([(lane, window) for lane in lanes.tolist() for window in self._windowers[lane].flush()])

    def _push(self, lane: int, samples: FloatArray) -> list[Window]:
        return self._windowers[lane].push(samples)

    def _windower(self) -> Windower:
        rate, windows = stream_format(self._contract).sample_rate_hz, self._contract.windows
        if isinstance(windows, BeatWindows):
            return HeartbeatWindower(windows, sample_rate_hz=rate, features=FEATURE_NAMES)
        assert isinstance(windows, FixedWindows)  # noqa: S101  # a record has no stream
        length, hop = (max(round(seconds * rate), 1) for seconds in (windows.length_s, windows.hop_s))
        return FixedWindower(length=length, hop=hop)


class BeatFinder:
    """Finds the R peaks in the lanes of a bank.

    Args:
        sample_rate_hz: Of every lane.

    Attributes:
        delay: A beat is told at most so many samples after it.
    """

    def __init__(self, *, sample_rate_hz: float) -> None:
        self._rate_hz = sample_rate_hz
        self._detectors: dict[int, RPeakDetector] = {}
        self.delay = RPeakDetector(sample_rate_hz=sample_rate_hz).max_delay_samples

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""

    def reset(self, lanes: IntArray) -> None:
        """Begin new streams in these lanes."""
        for lane in lanes.tolist():
            self._detectors[lane] = RPeakDetector(sample_rate_hz=self._rate_hz)

    def step(self, lanes: IntArray, samples: FloatArray) -> tuple[IntArray, IntArray]:
        """Take the next hop, shape (hop, lanes), and return the lanes and sample indices of beats."""
        found = [self._detectors[lane].push(samples[:, at]) for at, lane in enumerate(lanes.tolist())]
        return np.repeat(lanes, [len(peaks) for peaks in found]), np.concatenate([np.empty(0, np.int64), *found])


def _batch(found: list[tuple[int, Window]]) -> WindowBatch:
    windows = [window for _, window in found]
    return WindowBatch(
        lane=np.array([lane for lane, _ in found], np.int64),
        start_index=np.array([window.start_index for window in windows], np.int64),
        end_index=np.array([window.end_index for window in windows], np.int64),
        anchor_index=np.array([window.anchor_index for window in windows], np.int64),
        waveform=np.stack([window.waveform for window in windows]) if windows else np.empty((0, 0, 0), np.float32),
        features=np.stack([window.features for window in windows]) if windows else np.empty((0, 0), np.float32),
        rr_s=np.array([window.rr_s for window in windows], np.float64),
    )
