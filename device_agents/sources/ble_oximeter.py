"""Pulse oximeters: PLX Spot-check Measurement, 0x2A5E, and PLX Continuous Measurement, 0x2A5F.

Source: Bluetooth SIG, Pulse Oximeter Service 1.0.1, sections 3.1 and 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from device_agents.sources.ble_octets import Medical, Octets

_SPOT_HAS_TIME, _SPOT_HAS_STATUS, _SPOT_HAS_SENSOR, _SPOT_HAS_AMPLITUDE, _SPOT_CLOCK_UNSET = (1 << b for b in range(5))
_HAS_FAST, _HAS_SLOW, _HAS_STATUS, _HAS_SENSOR, _HAS_AMPLITUDE = (1 << bit for bit in range(5))
_RESERVED = 0xE0


@dataclass(frozen=True, kw_only=True, slots=True)
class Saturation:
    """One pair of numbers, averaged in one way.

    Attributes:
        spo2_percent: Oxygen saturation.
        pulse_per_min: Pulse rate.
    """

    spo2_percent: Medical
    pulse_per_min: Medical


@dataclass(frozen=True, kw_only=True, slots=True)
class Oximetry:
    """What a pulse oximeter says.

    Attributes:
        normal: Averaged as usual.
        fast: Following faster, if told; only of a continuous measurement.
        slow: Following more slowly, likewise.
        measurement_status: Bits of the Measurement Status field; `ble_doubts` reads them.
        sensor_status: Bits of the Device and Sensor Status field.
        amplitude_percent: Pulse amplitude index, if told.
        device_time: When it was measured, by the oximeter's clock, if told.
        clock_set: Whether somebody has set that clock.
    """

    normal: Saturation
    fast: Saturation | None = None
    slow: Saturation | None = None
    measurement_status: int = 0
    sensor_status: int = 0
    amplitude_percent: Medical | None = None
    device_time: datetime | None = None
    clock_set: bool = True


def decode_continuous(data: bytes) -> Oximetry:
    """Read a continuous measurement.

    Raises:
        SignalError: It is not one.
    """
    octets = Octets(data, what="continuous pulse oximeter measurement")
    flags = octets.unsigned(1)
    measured = Oximetry(
        normal=_saturation(octets),
        fast=_saturation(octets) if flags & _HAS_FAST else None,
        slow=_saturation(octets) if flags & _HAS_SLOW else None,
        measurement_status=octets.unsigned(2) if flags & _HAS_STATUS else 0,
        sensor_status=octets.unsigned(3) if flags & _HAS_SENSOR else 0,
        amplitude_percent=octets.sfloat() if flags & _HAS_AMPLITUDE else None,
    )
    octets.end(flags_left=flags & _RESERVED)
    return measured


def decode_spot_check(data: bytes) -> Oximetry:
    """Read a spot-check measurement.

    Raises:
        SignalError: It is not one.
    """
    octets = Octets(data, what="spot-check pulse oximeter measurement")
    flags = octets.unsigned(1)
    measured = Oximetry(
        normal=_saturation(octets),
        device_time=octets.date_time() if flags & _SPOT_HAS_TIME else None,
        measurement_status=octets.unsigned(2) if flags & _SPOT_HAS_STATUS else 0,
        sensor_status=octets.unsigned(3) if flags & _SPOT_HAS_SENSOR else 0,
        amplitude_percent=octets.sfloat() if flags & _SPOT_HAS_AMPLITUDE else None,
        clock_set=not flags & _SPOT_CLOCK_UNSET,
    )
    octets.end(flags_left=flags & _RESERVED)
    return measured


def _saturation(octets: Octets) -> Saturation:
    return Saturation(spo2_percent=octets.sfloat(), pulse_per_min=octets.sfloat())
