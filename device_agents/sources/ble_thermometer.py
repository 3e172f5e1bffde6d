"""Temperature Measurement, 0x2A1C, and Intermediate Temperature, 0x2A1E, which have one layout.

Source: Bluetooth SIG, Health Thermometer Service 1.0, sections 3.1 and 3.3, and Temperature Type, 0x2A1D.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from device_agents.sources.ble_octets import Medical, Octets

_IN_FAHRENHEIT, _HAS_TIME, _HAS_SITE = (1 << bit for bit in range(3))
_RESERVED = 0xF8
_SITES = ("", "armpit", "body", "ear", "finger", "gastro-intestinal tract", "mouth", "rectum", "toe", "eardrum")


@dataclass(frozen=True, kw_only=True, slots=True)
class Temperature:
    """What a thermometer says.

    Attributes:
        celsius: Body temperature.
        device_time: When it was measured, by the thermometer's clock, if told.
        site: Where; empty when not told.
    """

    celsius: Medical
    device_time: datetime | None
    site: str


def decode_temperature(data: bytes) -> Temperature:
    """Read a temperature measurement, final or intermediate.

    Raises:
        SignalError: It is not one.
    """
    octets = Octets(data, what="temperature measurement")
    flags = octets.unsigned(1)
    measured = octets.float32()
    device_time = octets.date_time() if flags & _HAS_TIME else None
    site = octets.unsigned(1) if flags & _HAS_SITE else 0
    octets.end(flags_left=flags & _RESERVED)
    return Temperature(
        celsius=_from_fahrenheit(measured) if flags & _IN_FAHRENHEIT else measured,
        device_time=device_time,
        site=_SITES[site] if site < len(_SITES) else "",
    )


def _from_fahrenheit(measured: Medical) -> Medical:
    if measured.value is None:
        return measured
    return Medical(round((measured.value - 32) * 5 / 9, 6))  # 98.6 °F are 37 °C, not 36.99999999999999
