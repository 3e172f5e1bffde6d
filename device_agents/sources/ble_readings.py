"""What a wearable's messages mean: one function for each characteristic that is understood."""

from __future__ import annotations

from collections.abc import Callable

from device_agents.sources.ble_doubts import doubts_of, was_stored
from device_agents.sources.ble_heart_rate import decode_heart_rate
from device_agents.sources.ble_octets import Medical, Octets
from device_agents.sources.ble_oximeter import Oximetry, decode_continuous, decode_spot_check
from device_agents.sources.ble_reading import Arrival, Doubts, Measurement, Reading, measured_at, plausible
from device_agents.sources.ble_thermometer import decode_temperature
from edge_sdk import codes

_FULL_PERCENT = 100
_NOT_WORN = Doubts(("sensor not on the patient",), "temp-unknown")

Interpret = Callable[[bytes, Arrival], tuple[Reading, ...]]
"""Takes a characteristic's value and when it came; raises `SignalError` if it is not what it should be."""


def heart_rate_readings(data: bytes, arrival: Arrival) -> tuple[Reading, ...]:
    """Return the rate, and every RR interval at the time of the beat that ends it, oldest first.

    Off the skin there is neither. A rate of 0 is none: a strap that has not found a beat says the same as one on a
    heart that stands.
    """
    measured = decode_heart_rate(data)
    worn = measured.contact is not False
    message = Measurement(time_ns=arrival.time_ns, doubts=Doubts() if worn else _NOT_WORN)
    beats: list[Reading] = []
    beat_ns = arrival.time_ns
    for interval_s in reversed(measured.intervals_s if worn else ()):
        beat = Measurement(time_ns=beat_ns).reading(codes.RR_INTERVAL, codes.SECOND, plausible(Medical(interval_s)))
        beats.append(beat)
        beat_ns -= round(interval_s * 1e9)
    rate = plausible(Medical(float(measured.per_min)))
    return (message.reading(codes.HEART_RATE, codes.PER_MINUTE, rate), *reversed(beats))


def continuous_readings(data: bytes, arrival: Arrival) -> tuple[Reading, ...]:
    """Return saturation, pulse rate and perfusion of a continuous measurement, averaged as usual."""
    return _oximetry(decode_continuous(data), arrival)


def spot_check_readings(data: bytes, arrival: Arrival) -> tuple[Reading, ...]:
    """Return saturation, pulse rate and perfusion of a spot check, at the time it was made."""
    return _oximetry(decode_spot_check(data), arrival)


def temperature_readings(data: bytes, arrival: Arrival) -> tuple[Reading, ...]:
    """Return a final temperature, at the time it was measured."""
    return _temperature(data, arrival, Doubts())


def intermediate_readings(data: bytes, arrival: Arrival) -> tuple[Reading, ...]:
    """Return a temperature that may still rise."""
    return _temperature(data, arrival, Doubts(("still measuring",)))


def battery_readings(data: bytes, arrival: Arrival) -> tuple[Reading, ...]:
    """Return a battery's charge (Bluetooth SIG, Battery Service 1.0, section 3.1)."""
    octets = Octets(data, what="battery level")
    percent = octets.unsigned(1)
    octets.end(flags_left=0)
    if percent > _FULL_PERCENT:
        raise octets.wrong(f"is {percent} %")
    message = Measurement(time_ns=arrival.time_ns)
    return (message.reading(codes.BATTERY_CHARGE, codes.PERCENT, Medical(float(percent))),)


def characteristic(number: int) -> str:
    """Return the UUID of a characteristic that the Bluetooth SIG has given a number."""
    return f"{number:08x}-0000-1000-8000-00805f9b34fb"


HEART_RATE_MEASUREMENT, CONTINUOUS_MEASUREMENT = characteristic(0x2A37), characteristic(0x2A5F)
BATTERY_LEVEL = characteristic(0x2A19)
CHARACTERISTICS: dict[str, Interpret] = {
    HEART_RATE_MEASUREMENT: heart_rate_readings,
    characteristic(0x2A5E): spot_check_readings,
    CONTINUOUS_MEASUREMENT: continuous_readings,
    characteristic(0x2A1C): temperature_readings,
    characteristic(0x2A1E): intermediate_readings,
    BATTERY_LEVEL: battery_readings,
}
"""What is understood, by UUID."""
CONTINUOUS = {HEART_RATE_MEASUREMENT, CONTINUOUS_MEASUREMENT}
"""What comes every second or so, as long as the wearable is worn."""


def _oximetry(measured: Oximetry, arrival: Arrival) -> tuple[Reading, ...]:
    device_time = measured.device_time if measured.clock_set else None
    time_ns, clock = measured_at(arrival, device_time, stored=was_stored(measured))
    message = Measurement(time_ns=time_ns, clock=clock, doubts=doubts_of(measured))
    saturation = plausible(measured.normal.spo2_percent, most=_FULL_PERCENT)
    pulse = plausible(measured.normal.pulse_per_min)
    readings = (
        message.reading(codes.PULSE_OXIMETRY, codes.PERCENT, saturation),
        message.reading(codes.PULSE_RATE, codes.PER_MINUTE, pulse),
    )
    if measured.amplitude_percent is None:
        return readings
    perfusion = plausible(measured.amplitude_percent)
    return (*readings, message.reading(codes.PERFUSION_INDEX, codes.PERCENT, perfusion))


def _temperature(data: bytes, arrival: Arrival, doubts: Doubts) -> tuple[Reading, ...]:
    measured = decode_temperature(data)
    time_ns, clock = measured_at(arrival, measured.device_time)
    remarks = (measured.site,) if measured.site else ()
    message = Measurement(time_ns=time_ns, clock=clock, doubts=doubts, remarks=remarks)
    return (message.reading(codes.BODY_TEMPERATURE, codes.CELSIUS, measured.celsius),)
