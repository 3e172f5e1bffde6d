"""What a device found out about a patient, in the words of FHIR Observation."""

from __future__ import annotations

import math
from enum import Enum
from typing import Annotated, Literal, Union

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_sdk.alarm_rules import AlarmPriority
from edge_sdk.codes import Code

_MISSING = -32768  # int16's lowest value stands for a missing sample and never for a measured one.


Nanoseconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # what every database can hold


class ClockQuality(str, Enum):
    """How far an effective time can be trusted."""

    SYNCHRONIZED = "synchronized"
    CORRECTED = "corrected"
    UNSYNCHRONIZED = "unsynchronized"
    REPLAYED = "replayed"


class Priority(str, Enum):
    """What must arrive first and is given up last."""

    ALARM = "alarm"
    ROUTINE = "routine"


class Quantity(msgspec.Struct, frozen=True, tag="quantity"):
    """A measured number with its UCUM unit; never NaN or infinite, which JSON and FHIR cannot say."""

    value: float
    unit: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError("a quantity must be finite: give no value, and an absent_reason")


class Classification(msgspec.Struct, frozen=True, tag="class"):
    """A decision with the probabilities it came from (by label; they sum to about 1)."""

    label: str
    probabilities: dict[str, float]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.probabilities.values())):
            raise ValueError("probabilities must be finite")


class SampledData(msgspec.Struct, frozen=True, tag="sampled"):
    """A stretch of one channel: ``value = stored * factor``, stored as little-endian int16.

    Attributes:
        unit: UCUM unit of ``value``.
        sample_rate_hz: Samples per second.
        factor: Unit per stored step.
        stored: The samples' bytes; -32768 marks a missing one.
        anchor_s: Seconds from the first sample to the event the strip is about.
    """

    unit: str
    sample_rate_hz: float
    factor: float
    stored: bytes
    anchor_s: float = 0.0

    def __post_init__(self) -> None:
        if len(self.stored) % 2 or not (0 < self.sample_rate_hz < math.inf and 0 < self.factor < math.inf):
            raise ValueError("sampled data must be int16 with a positive rate and factor")

    @classmethod
    def from_values(
        cls, values: NDArray[np.float32], *, unit: str, sample_rate_hz: float, factor: float, anchor_s: float = 0.0
    ) -> SampledData:
        """Store ``values`` (shape (n,)); what does not fit in int16 saturates, NaN and infinity become missing."""
        measured = np.isfinite(values)
        steps = np.rint(np.where(measured, values, 0).astype(np.float64) / factor)
        stored = np.where(measured, np.clip(steps, _MISSING + 1, -_MISSING - 1), _MISSING).astype("<i2").tobytes()
        return cls(unit=unit, sample_rate_hz=sample_rate_hz, factor=factor, stored=stored, anchor_s=anchor_s)

    def values(self) -> NDArray[np.float32]:
        """Return the samples in ``unit``, float32 of shape (n,), NaN where missing."""
        stored = np.frombuffer(self.stored, dtype="<i2")
        return np.where(stored == _MISSING, np.nan, stored * self.factor).astype(np.float32)


Value = Union[Quantity, Classification, SampledData]


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which model said so, and what ran it."""

    id: str
    version: str
    bundle_sha256: str
    runtime: str


class AlarmState(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an alarm, and which one it is: that of this rule, on this stream, since then.

    Attributes:
        rule: Name of the rule.
        state: ``begin``; ``escalate`` when nobody acknowledged it and its priority rose; ``end``.
        priority: How soon somebody must respond, as in IEC 60601-1-8.
        since_ns: UTC time at which it began, nanoseconds since 1970.
    """

    rule: str
    state: Literal["begin", "escalate", "end"]
    priority: AlarmPriority
    since_ns: Nanoseconds


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding. Its identity, (device, epoch, seq), is given by the outbox.

    Attributes:
        code: What was observed.
        value: The finding; ``None`` when it could not be had, and then ``absent_reason`` says why
            (FHIR data-absent-reason code, e.g. ``error`` or ``unknown``).
        effective_time_ns: UTC time it is about, nanoseconds since 1970.
        stream: Which of the device's streams it came from.
        subject: Pseudonym of the patient.
        clock: How far ``effective_time_ns`` can be trusted.
        quality: Signal quality index, 0 (useless) to 1 (clean).
        priority: Order of delivery.
        model: The model that said so, if any.
        alarm: What happened to which alarm, if it is about one. What ends an alarm is routine.
    """

    code: Code
    effective_time_ns: Nanoseconds
    stream: str
    subject: str
    value: Value | None = None
    absent_reason: str = ""
    clock: ClockQuality = ClockQuality.SYNCHRONIZED
    quality: float | None = None
    priority: Priority = Priority.ROUTINE
    model: ModelRef | None = None
    alarm: AlarmState | None = None
