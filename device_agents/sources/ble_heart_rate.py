"""Heart Rate Measurement, 0x2A37. Source: Bluetooth SIG, Heart Rate Service 1.0, section 3.1."""

from __future__ import annotations

from dataclasses import dataclass

from device_agents.sources.ble_octets import Octets

_RATE_IS_16_BITS, _IN_CONTACT, _KNOWS_CONTACT, _HAS_ENERGY, _HAS_INTERVALS = (1 << bit for bit in range(5))
_RESERVED = 0xE0
_INTERVALS_PER_S = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class HeartRate:
    """What a chest strap or watch says.

    Attributes:
        per_min: Beats a minute.
        contact: Whether the sensor touches the skin; ``None`` when it cannot tell.
        energy_kj: Energy expended since it was reset, if told; 65,535 means that or more.
        intervals_s: RR intervals since the measurement before, oldest first.
    """

    per_min: int
    contact: bool | None
    energy_kj: int | None
    intervals_s: tuple[float, ...]


def decode_heart_rate(data: bytes) -> HeartRate:
    """Read a heart rate measurement.

    Raises:
        SignalError: It is not one.
    """
    octets = Octets(data, what="heart rate measurement")
    flags = octets.unsigned(1)
    rate = octets.unsigned(2 if flags & _RATE_IS_16_BITS else 1)
    energy = octets.unsigned(2) if flags & _HAS_ENERGY else None
    intervals: list[float] = []
    while flags & _HAS_INTERVALS and octets.left and not (flags & _RESERVED and octets.left == 1):
        intervals.append(octets.unsigned(2) / _INTERVALS_PER_S)
    octets.end(flags_left=flags & _RESERVED)
    return HeartRate(
        per_min=rate,
        contact=bool(flags & _IN_CONTACT) if flags & _KNOWS_CONTACT else None,
        energy_kj=energy,
        intervals_s=tuple(intervals),
    )
