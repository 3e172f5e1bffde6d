"""What is told of a stream: findings as observations, in the order of the stream."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from edge_sdk.codes import Code
from edge_sdk.observation import AlarmState, ClockQuality, ModelRef, Observation, Priority, Value
from edge_sdk.tensors import FloatArray, IntArray

_NS = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamFacts:
    """What every observation of a stream says.

    Attributes:
        name: Of the stream.
        subject: Pseudonym of the patient.
        clock: How far its times can be trusted.
        channels: Names of its channels.
    """

    name: str
    subject: str
    clock: ClockQuality
    channels: tuple[str, ...]


class Teller:
    """Turns findings into observations; one for all lanes of a bank.

    Args:
        sample_rate_hz: Samples per second.
    """

    def __init__(self, *, sample_rate_hz: float) -> None:
        self._rate_hz = sample_rate_hz
        self._begun_ns: IntArray = np.zeros(0, np.int64)
        self._facts: dict[int, StreamFacts] = {}
        self._told: defaultdict[int, list[Observation]] = defaultdict(list)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        self._begun_ns = np.concatenate([self._begun_ns, np.zeros(lanes - len(self._begun_ns), np.int64)])

    def begin(self, lane: int, facts: StreamFacts) -> None:
        """Speak of another stream from now on."""
        self._facts[lane] = facts

    def facts(self, lane: int) -> StreamFacts:
        """Return what is known of a lane's stream."""
        return self._facts[lane]

    def set_times(self, lanes: IntArray, index: IntArray, times_ns: IntArray) -> None:
        """Take the UTC times of one sample of each lane; those before and after it are at the nominal rate."""
        # Rounded from the stream's start, as sources do, so that a time does not depend on the block it came in.
        self._begun_ns[lanes] = times_ns - np.rint(index * _NS / self._rate_hz).astype(np.int64)

    def times_ns(self, lanes: IntArray, index: IntArray) -> list[int]:
        """Return the UTC times of samples, nanoseconds since 1970."""
        times: list[int] = (self._begun_ns[lanes] + np.rint(index * _NS / self._rate_hz).astype(np.int64)).tolist()
        return times

    def tell_all(
        self,
        code: Code,
        lanes: IntArray,
        index: IntArray,
        values: list[Value],
        *,
        quality: FloatArray,
        model: ModelRef | None = None,
    ) -> None:
        """Tell one value each of many lanes."""
        told, facts = self._told, self._facts
        for lane, time_ns, value, sure in zip(
            lanes.tolist(), self.times_ns(lanes, index), values, quality.tolist(), strict=True
        ):
            of = facts[lane]
            told[lane].append(
                Observation(
                    code=code,
                    value=value,
                    effective_time_ns=time_ns,
                    stream=of.name,
                    subject=of.subject,
                    clock=of.clock,
                    quality=sure,
                    model=model,
                )
            )

    def tell(  # noqa: PLR0913  # the fields that differ between observations
        self,
        code: Code,
        lane: int,
        index: int,
        value: Value | None,
        *,
        quality: float | None = None,
        model: ModelRef | None = None,
        absent_reason: str = "",
        priority: Priority = Priority.ROUTINE,
        alarm: AlarmState | None = None,
    ) -> None:
        """Tell one thing of one lane."""
        of = self._facts[lane]
        (time_ns,) = self.times_ns(np.array([lane]), np.array([index]))
        self._told[lane].append(
            Observation(
                code=code,
                value=value,
                effective_time_ns=time_ns,
                stream=of.name,
                subject=of.subject,
                absent_reason=absent_reason,
                clock=of.clock,
                quality=quality,
                priority=priority,
                model=model,
                alarm=alarm,
            )
        )

    def taken(self) -> dict[int, list[Observation]]:
        """Return what was told of each lane since the last time."""
        told, self._told = self._told, defaultdict(list)
        return told
