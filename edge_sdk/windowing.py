"""From blocks of samples to windows. The windows never depend on how the samples were split into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edge_sdk.beats import FEATURE_NAMES, BeatWindower
from edge_sdk.beats.windower import Beat
from edge_sdk.contracts import BeatWindows, FixedWindows, InputContract
from edge_sdk.errors import SignalError
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray


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


class Windower(Protocol):
    """Cuts one channel of a stream."""

    def push(self, samples: FloatArray) -> list[Window]:
        """Take the next samples, shape (n,), and return the windows they complete."""

    def flush(self) -> list[Window]:
        """Return what the end of the stream completes."""


def windower_for(contract: InputContract) -> Windower:
    """Return the windower that a contract asks for.

    Raises:
        SignalError: It asks for features that such windows do not have, or reads no stream.
    """
    check_features(contract)
    rate, windows = stream_format(contract).sample_rate_hz, contract.windows
    if isinstance(windows, FixedWindows):
        length, hop = (max(round(seconds * rate), 1) for seconds in (windows.length_s, windows.hop_s))
        return FixedWindower(length=length, hop=hop)
    if isinstance(windows, BeatWindows):
        return HeartbeatWindower(windows, sample_rate_hz=rate, features=contract.features)
    raise AssertionError("a record has no stream")


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


class FixedWindower:
    """Windows of ``length`` samples, one every ``hop``."""

    def __init__(self, *, length: int, hop: int) -> None:
        self._length, self._hop = length, hop
        self._kept: FloatArray = np.empty(0, np.float32)
        self._kept_from = self._next = 0

    def push(self, samples: FloatArray) -> list[Window]:
        """Take samples of shape (n,) and return the windows they complete."""
        self._kept = np.concatenate([self._kept, samples])
        windows = []
        while self._next - self._kept_from + self._length <= len(self._kept):
            at, end = self._next - self._kept_from, self._next + self._length
            windows.append(
                Window(
                    start_index=self._next,
                    end_index=end,
                    anchor_index=end - 1,
                    waveform=self._kept[at : at + self._length, np.newaxis].copy(),
                )
            )
            self._next += self._hop
        passed = min(self._next - self._kept_from, len(self._kept))
        self._kept, self._kept_from = self._kept[passed:], self._kept_from + passed
        return windows

    def flush(self) -> list[Window]:
        """Return nothing: an incomplete window is no window."""
        return []


class HeartbeatWindower:
    """One window per heartbeat, anchored on its R peak, with some of `edge_sdk.beats.FEATURE_NAMES`."""

    def __init__(self, windows: BeatWindows, *, sample_rate_hz: float, features: Sequence[str]) -> None:
        self._columns = [FEATURE_NAMES.index(name) for name in features]
        self._beats = BeatWindower(sample_rate_hz=sample_rate_hz, before_s=windows.before_s, after_s=windows.after_s)

    def push(self, samples: FloatArray) -> list[Window]:
        """Take samples of shape (n,) and return the beats they complete."""
        return [self._window(beat) for beat in self._beats.push(samples)]

    def flush(self) -> list[Window]:
        """Return the beats that were waiting for their successor."""
        return [self._window(beat) for beat in self._beats.flush()]

    def _window(self, beat: Beat) -> Window:
        return Window(
            start_index=beat.r_index - self._beats.before,
            end_index=beat.r_index + self._beats.after,
            anchor_index=beat.r_index,
            waveform=beat.waveform,
            features=beat.features[self._columns],
            rr_s=beat.rr_s,
        )
