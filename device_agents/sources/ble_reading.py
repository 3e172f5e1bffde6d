"""One value from a wearable: with its code, unit and time, and what speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from device_agents.sources.ble_octets import Medical
from edge_sdk.codes import Code
from edge_sdk.observation import ClockQuality, Observation, Quantity

_LIVE_NS = 60 * 10**9  # wearables' clocks are set by hand, to the minute
_OLDEST = datetime(2010, 6, 30)  # noqa: DTZ001  # Bluetooth 4.0, the first with Low Energy; an unset clock says less
_NEWEST_YEAR = 2200  # what follows does not fit in 64 bits of nanoseconds
_CLEAN, _DOUBTED = 1.0, 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One value from a wearable.

    Attributes:
        code: What was measured.
        unit: UCUM unit of the value.
        time_ns: UTC time it is about, nanoseconds since 1970: of its arrival, unless the wearable had kept it.
        value: The number; ``None`` when there is none, and then ``absent_reason`` says why.
        absent_reason: A FHIR data-absent-reason: ``temp-unknown`` (not worn, no pulse, link lost), ``error``,
            ``not-performed`` (a demonstration or test), ``not-a-number``, ``positive-infinity``, ``negative-infinity``.
        quality: 1 when the wearable says nothing against the value, 0.5 when it does; ``None`` where there is none.
        remarks: What the wearable says of it, in words: status bits, the site of a temperature.
        clock: ``UNSYNCHRONIZED`` where ``time_ns`` is by the wearable's own clock, or when it was measured is unknown.
    """

    code: Code
    unit: str
    time_ns: int
    value: float | None
    absent_reason: str = ""
    quality: float | None = None
    remarks: tuple[str, ...] = ()
    clock: ClockQuality = ClockQuality.SYNCHRONIZED

    def observation(self, *, stream: str, subject: str) -> Observation:
        """Return it as what the hospital is told; the remarks stay here."""
        return Observation(
            code=self.code,
            value=None if self.value is None else Quantity(self.value, self.unit),
            absent_reason=self.absent_reason,
            effective_time_ns=self.time_ns,
            stream=stream,
            subject=subject,
            clock=self.clock,
            quality=self.quality,
        )


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a message came.

    Attributes:
        time_ns: UTC time, nanoseconds since 1970.
        zone: Time zone that wearables' clocks are set to: that of the clock on the wall; ``None`` for the system's.
    """

    time_ns: int
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Doubts:
    """What speaks against a measurement.

    Attributes:
        words: Every bit that does, in words.
        absent_reason: Why the numbers must not be used at all, as FHIR data-absent-reason; empty if they may.
    """

    words: tuple[str, ...] = ()
    absent_reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What all values of one message share.

    Attributes:
        time_ns: UTC time it is about.
        clock: How far that can be trusted.
        doubts: What speaks against it.
        remarks: What else the wearable says of it.
    """

    time_ns: int
    clock: ClockQuality = ClockQuality.SYNCHRONIZED
    doubts: Doubts = Doubts()
    remarks: tuple[str, ...] = ()

    def reading(self, code: Code, unit: str, measured: Medical) -> Reading:
        """Return one of its values."""
        reason = self.doubts.absent_reason or measured.absent_reason
        value = None if reason else measured.value
        return Reading(
            code=code,
            unit=unit,
            time_ns=self.time_ns,
            value=value,
            absent_reason=reason,
            quality=None if value is None else _DOUBTED if self.doubts.words else _CLEAN,
            remarks=self.doubts.words + self.remarks,
            clock=self.clock,
        )


def measured_at(arrival: Arrival, device_time: datetime | None, *, stored: bool = False) -> tuple[int, ClockQuality]:
    """Return the UTC time of a measurement, nanoseconds since 1970, and how far it can be trusted.

    Args:
        arrival: When it came.
        device_time: When it was made, by the wearable's clock, which knows no time zone; ``None`` if not told.
        stored: The wearable says that it had kept it.
    """
    unknown = arrival.time_ns, ClockQuality.UNSYNCHRONIZED
    if device_time is None:
        return unknown if stored else (arrival.time_ns, ClockQuality.SYNCHRONIZED)
    if device_time < _OLDEST or device_time.year >= _NEWEST_YEAR:
        return unknown
    device_ns = round(device_time.replace(tzinfo=arrival.zone).timestamp()) * 10**9
    if device_ns > arrival.time_ns + _LIVE_NS:
        return unknown
    if not stored and device_ns >= arrival.time_ns - _LIVE_NS:
        return arrival.time_ns, ClockQuality.SYNCHRONIZED
    return device_ns, ClockQuality.UNSYNCHRONIZED


def plausible(measured: Medical, *, most: float = float("inf")) -> Medical:
    """Return a number that can be true: 0 means that none was found yet, and nobody has less, or more than ``most``."""
    if measured.value is None or 0 < measured.value <= most:
        return measured
    return Medical(None, "temp-unknown" if measured.value == 0 else "error")
