"""Which stretches of many lanes are fit to be classified, and where a signal is lost and comes back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_agents.sample_ring import SampleRing
from edge_sdk.quality import Quality, assess
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray, IntArray

_LOOK_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The quality of windows: ``index`` from 0 (useless) to 1, shape (b,), and the reason of each below 1."""

    index: FloatArray
    reason: tuple[str, ...]

    def where(self, chosen: NDArray[np.bool_]) -> Judged:
        """Return some of them."""
        reasons = tuple(reason for reason, wanted in zip(self.reason, chosen.tolist(), strict=True) if wanted)
        return Judged(index=self.index[chosen], reason=reasons)

    def reasons(self) -> Counter[str]:
        """Return how many there are of each reason."""
        return Counter(self.reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """A lane's signal was lost, is still lost, or is good again, from sample ``index`` on."""

    lane: int
    index: int
    quality: Quality
    changed: bool


class SignalJudge:
    """Looks at every second of every lane, and at windows on demand.

    Args:
        format: Of every lane.
        ring: The raw samples.
    """

    def __init__(self, format: SignalFormat, *, ring: SampleRing) -> None:  # noqa: A002  # the word
        self._ring, self._rate_hz = ring, format.sample_rate_hz
        self._look = round(_LOOK_S * format.sample_rate_hz)
        self._judges = format.kind == "ecg"
        self._seen_to: IntArray = np.zeros(0, np.int64)
        self._good: NDArray[np.bool_] = np.zeros(0, np.bool_)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        more = lanes - len(self._good)
        self._seen_to = np.concatenate([self._seen_to, np.zeros(more, np.int64)])
        self._good = np.concatenate([self._good, np.ones(more, np.bool_)])

    def reset(self, lanes: IntArray) -> None:
        """Begin new streams in these lanes, whose signal is good until seen."""
        self._seen_to[lanes], self._good[lanes] = 0, True

    def step(self, lanes: IntArray) -> list[Turn]:
        """Look at what is new in these lanes."""
        found: list[Turn] = []
        due = lanes[self._seen_to[lanes] + self._look <= self._ring.taken[lanes]]
        for lane in due.tolist():
            start = int(self._seen_to[lane])
            self._seen_to[lane] = start + self._look
            quality = self._assess(lane, start, start + self._look)
            if not quality.usable or not self._good[lane]:
                changed = bool(quality.usable != self._good[lane])
                found.append(Turn(lane=lane, index=start, quality=quality, changed=changed))
                self._good[lane] = quality.usable
        return found

    def of(self, lanes: IntArray, start_index: IntArray, end_index: IntArray) -> Judged:
        """Judge windows, given by lane, first sample and the one after the last."""
        found = [
            self._assess(lane, start, end)
            for lane, start, end in zip(lanes.tolist(), start_index.tolist(), end_index.tolist(), strict=True)
        ]
        return Judged(
            index=np.array([quality.index for quality in found], np.float32),
            reason=tuple(quality.reason for quality in found),
        )

    def _assess(self, lane: int, start: int, end: int) -> Quality:
        samples = self._ring.cut(lane, start, end)
        if self._judges:
            return assess(samples[:, 0], sample_rate_hz=self._rate_hz)
        missing = not np.isfinite(samples).all()
        return Quality(index=0.0, reason="missing samples") if missing else Quality(index=1.0)
