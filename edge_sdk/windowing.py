"""From samples to windows, as a model's contract asks. They never depend on how the samples were split into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edge_sdk.beats import FEATURE_NAMES, BeatBank, Beats
from edge_sdk.contracts import BeatWindows, FixedWindows, InputContract
from edge_sdk.errors import SignalError
from edge_sdk.fixed_windows import FixedWindowBank
from edge_sdk.lanes import Hops, hop_of
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray, IntArray
from edge_sdk.windows import Window, WindowBatch

__all__ = [
    "HeartbeatBank",
    "LaneWindower",
    "Window",
    "WindowBatch",
    "Windower",
    "WindowerBank",
    "channels_of",
    "check_features",
    "stream_format",
    "windower_bank_for",
    "windower_for",
]


class WindowerBank(Protocol):
    """Cuts many streams of one format, a lane each.

    What a lane gives never depends on the other lanes, on how many there are, or on when they step.
    """

    @property
    def hop(self) -> int:
        """Samples of each lane that `step` takes."""

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; new ones are fresh, others keep their state."""

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""

    def step(self, lanes: IntArray, samples: FloatArray) -> WindowBatch:
        """Take the next hop of these lanes and return the windows it completes.

        Args:
            lanes: Shape (k,), strictly increasing.
            samples: float32, shape (hop, k) or (hop, k, channels), NaN where missing.
        """

    def finish(self, lanes: IntArray) -> WindowBatch:
        """Return what the end of these lanes' streams completes. They must be reset before they step again."""


class Windower(Protocol):
    """Cuts one stream."""

    def push(self, samples: FloatArray) -> list[Window]:
        """Take the next samples, shape (n,) or (n, channels), and return the windows they complete."""

    def flush(self) -> list[Window]:
        """Return what the end of the stream completes."""


def windower_bank_for(contract: InputContract) -> WindowerBank:
    """Return the windower that a contract asks for, for many streams; contracts of equal windows may share it.

    Raises:
        SignalError: It asks for features that such windows do not have, or reads no stream.
    """
    check_features(contract)
    signal, windows = stream_format(contract), contract.windows
    rate = signal.sample_rate_hz
    if isinstance(windows, FixedWindows):
        length, every = (max(round(seconds * rate), 1) for seconds in (windows.length_s, windows.hop_s))
        return FixedWindowBank(hop=hop_of(rate), length=length, every=every, channels=channels_of(signal))
    if isinstance(windows, BeatWindows):
        return HeartbeatBank(windows, sample_rate_hz=rate)
    raise AssertionError("a record has no stream")


def windower_for(contract: InputContract) -> Windower:
    """Return the windower that a contract asks for, for one stream.

    Raises:
        SignalError: It asks for features that such windows do not have, or reads no stream.
    """
    return LaneWindower(windower_bank_for(contract), features=contract.features)


def stream_format(contract: InputContract) -> SignalFormat:
    """Return the signal that a model reads.

    Raises:
        SignalError: It reads facts about a person, not a stream.
    """
    if contract.signal is None:
        raise SignalError(
            "the model reads facts about a person, not a stream", remedy="ask it with 'edge-agent ask BUNDLE'"
        )
    return contract.signal


def channels_of(signal: SignalFormat) -> int:
    """Return how many values a sample has. Of an ECG or PPG the named channels are alternatives: one is used."""
    return len(signal.channels) if signal.kind == "accelerometer" else 1


def check_features(contract: InputContract) -> None:
    """Return if windows of the contract's kind have the features it names. The facts of a record are free.

    Raises:
        SignalError: They do not.
    """
    if contract.reads_records:
        return
    known = FEATURE_NAMES if isinstance(contract.windows, BeatWindows) else ()
    unknown = [name for name in contract.features if name not in known]
    if unknown:
        kind = "heartbeat" if known else "fixed"
        raise SignalError(
            f"the model takes features that {kind} windows do not have: {', '.join(unknown)}",
            remedy="use the SDK's version that the model was made for, or correct the names in the model's contract",
        )


class HeartbeatBank:
    """One window per heartbeat, anchored on its R peak, with all of `edge_sdk.beats.FEATURE_NAMES`.

    Attributes:
        beats: What finds and describes them.
    """

    def __init__(self, windows: BeatWindows, *, sample_rate_hz: float) -> None:
        self.beats = BeatBank(sample_rate_hz=sample_rate_hz, before_s=windows.before_s, after_s=windows.after_s)
        self.hop, self.resize, self.reset = self.beats.hop, self.beats.resize, self.beats.reset

    def step(self, lanes: IntArray, samples: FloatArray) -> WindowBatch:
        """Take the next hop of these lanes, shape (hop, k), and return beats that are complete."""
        return self._windows(self.beats.step(lanes, samples))

    def finish(self, lanes: IntArray) -> WindowBatch:
        """Return the beats that were waiting for their successor."""
        return self._windows(self.beats.finish(lanes))

    def _windows(self, beats: Beats) -> WindowBatch:
        return WindowBatch(
            lane=beats.lane,
            start_index=beats.r_index - self.beats.before,
            end_index=beats.r_index + self.beats.after,
            anchor_index=beats.r_index,
            waveform=beats.waveform,
            features=beats.features,
            rr_s=beats.rr_s,
        )


class LaneWindower:
    """Cuts one stream: a bank with one lane.

    Args:
        bank: Without lanes yet.
        features: Those that windows are to have.
    """

    def __init__(self, bank: WindowerBank, *, features: Sequence[str]) -> None:
        bank.resize(1)
        self._bank, self._features = bank, tuple(features)
        self._lane, self._hops = np.zeros(1, np.int64), Hops(bank.hop)

    def push(self, samples: FloatArray) -> list[Window]:
        """Take the next samples, shape (n,) or (n, channels), and return the windows they complete."""
        return self._cut(self._hops.push(samples))

    def flush(self) -> list[Window]:
        """Return what the end of the stream completes."""
        found = self._cut(self._hops.flush()) + self._bank.finish(self._lane).each(self._features)
        return [window for window in found if window.anchor_index < self._hops.received]

    def _cut(self, hops: list[FloatArray]) -> list[Window]:
        return [window for hop in hops for window in self._bank.step(self._lane, hop).each(self._features)]
