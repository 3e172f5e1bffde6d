from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone

import pytest

from device_agents.sources.ble_reading import Arrival, Reading
from device_agents.sources.ble_readings import (
    battery_readings,
    continuous_readings,
    heart_rate_readings,
    intermediate_readings,
    spot_check_readings,
    temperature_readings,
)
from edge_sdk import codes
from edge_sdk.errors import SignalError
from edge_sdk.observation import ClockQuality, Observation, Quantity

VIENNA = timezone(timedelta(hours=1))
NOON_NS = round(datetime(2026, 3, 2, 12, 0, tzinfo=VIENNA).timestamp()) * 10**9
NOW = Arrival(NOON_NS, VIENNA)
WELL = struct.pack("<HH", 97, 61)
WARM = b"\x74\x01\x00\xff"  # 37.2


def on_the_wall(hour: int, minute: int, *, year: int = 2026) -> bytes:
    return struct.pack("<HBBBBB", year, 3, 2, hour, minute, 0)


def oximeter(*, status: int = 0, sensor: int = 0) -> Reading:
    data = b"\x0c" + WELL + status.to_bytes(2, "little") + sensor.to_bytes(3, "little")
    return continuous_readings(data, NOW)[0]


def test_each_value_has_the_code_and_unit_that_hospitals_know() -> None:
    readings = [
        *heart_rate_readings(b"\x10\x3c\x00\x04", NOW),
        *continuous_readings(b"\x10" + WELL + b"\x0c\x00", NOW),
        *temperature_readings(b"\x00" + WARM, NOW),
        *battery_readings(b"\x5a", NOW),
    ]

    assert [(reading.code.code, reading.value, reading.unit) for reading in readings] == [
        ("8867-4", 60.0, "/min"),
        ("8637-1", 1.0, "s"),
        ("59408-5", 97.0, "%"),
        ("8889-8", 61.0, "/min"),
        ("61006-3", 12.0, "%"),
        ("8310-5", 37.2, "Cel"),
        ("67996", 90.0, "%"),
    ]
    assert {reading.quality for reading in readings} == {1.0}
    assert {reading.clock for reading in readings} == {ClockQuality.SYNCHRONIZED}


def test_the_hospital_is_told_what_was_read() -> None:
    well, _ = continuous_readings(b"\x04" + WELL + (1 << 6).to_bytes(2, "little"), NOW)
    gone, _ = continuous_readings(b"\x00" + struct.pack("<HH", 0x7FF, 61), NOW)

    assert [reading.observation(stream="finger", subject="p-1") for reading in (well, gone)] == [
        Observation(
            code=codes.PULSE_OXIMETRY,
            value=Quantity(97.0, codes.PERCENT),
            effective_time_ns=NOON_NS,
            stream="finger",
            subject="p-1",
            quality=0.5,
        ),
        Observation(
            code=codes.PULSE_OXIMETRY,
            absent_reason="not-a-number",
            effective_time_ns=NOON_NS,
            stream="finger",
            subject="p-1",
        ),
    ]


def test_beats_lie_their_intervals_before_the_message() -> None:
    _, *beats = heart_rate_readings(b"\x10\x4b\x00\x04\x00\x02\x00\x01", NOW)

    assert [(beat.value, NOON_NS - beat.time_ns) for beat in beats] == [
        (1.0, 750_000_000),
        (0.5, 250_000_000),
        (0.25, 0),
    ]


def test_a_strap_off_the_skin_gives_no_rate_and_no_beats() -> None:
    (rate,) = heart_rate_readings(b"\x14\x48\x00\x04", NOW)

    assert (rate.code, rate.value, rate.absent_reason) == (codes.HEART_RATE, None, "temp-unknown")
    assert rate.remarks == ("sensor not on the patient",)


def test_a_rate_of_zero_is_a_strap_that_found_none() -> None:
    (rate,) = heart_rate_readings(b"\x06\x00", NOW)

    assert (rate.value, rate.absent_reason) == (None, "temp-unknown")


STATUSES = {
    "all well": ({"status": 1 << 5 | 1 << 7 | 1 << 8}, 97.0, "", 1.0, ()),
    "an early estimate": ({"status": 1 << 6}, 97.0, "", 0.5, ("early estimate",)),
    "a questionable one": ({"status": 1 << 14}, 97.0, "", 0.5, ("questionable measurement",)),
    "an invalid one": ({"status": 1 << 15}, None, "error", None, ("invalid measurement",)),
    "not available": ({"status": 1 << 13}, None, "temp-unknown", None, ("measurement unavailable",)),
    "low perfusion": ({"sensor": 1 << 5}, 97.0, "", 0.5, ("low perfusion",)),
    "no pulse": ({"sensor": 1 << 7}, None, "temp-unknown", None, ("no pulse in the signal",)),
    "off the finger": ({"sensor": 1 << 11}, None, "temp-unknown", None, ("sensor not on the patient",)),
    "broken": ({"sensor": 1 << 14 | 1 << 5}, None, "error", None, ("low perfusion", "sensor malfunction")),
    "a demonstration": ({"status": 1 << 10, "sensor": 2}, None, "not-performed", None,
                        ("demonstration", "equipment malfunction")),
}  # fmt: skip


@pytest.mark.parametrize(("bits", "value", "reason", "quality", "remarks"), STATUSES.values(), ids=STATUSES)
def test_what_an_oximeter_says_against_its_numbers_counts(
    bits: dict[str, int], value: float | None, reason: str, quality: float | None, remarks: tuple[str, ...]
) -> None:
    reading = oximeter(**bits)

    assert (reading.value, reading.absent_reason, reading.quality) == (value, reason, quality)
    assert reading.remarks == remarks


IMPOSSIBLE = {
    "more than all": (101, "error"),
    "what cheap oximeters send without a finger": (127, "error"),
    "less than nothing": (0xFFF, "error"),
    "none yet": (0, "temp-unknown"),
    "NaN": (0x7FF, "not-a-number"),
    "+INFINITY": (0x7FE, "positive-infinity"),
}


@pytest.mark.parametrize(("raw", "reason"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_saturation_that_nobody_has_is_none_and_the_pulse_beside_it_stays(raw: int, reason: str) -> None:
    saturation, pulse = continuous_readings(b"\x00" + struct.pack("<HH", raw, 61), NOW)

    assert (saturation.value, saturation.absent_reason) == (None, reason)
    assert pulse.value == 61.0


def test_a_temperature_that_may_still_rise_says_so() -> None:
    (reading,) = intermediate_readings(b"\x04" + WARM + b"\x06", NOW)

    assert (reading.value, reading.quality, reading.remarks) == (37.2, 0.5, ("still measuring", "mouth"))


TIMES = {
    "just now": (on_the_wall(11, 59), 0, ClockQuality.SYNCHRONIZED),
    "a clock a little fast": (on_the_wall(12, 1), 0, ClockQuality.SYNCHRONIZED),
    "three hours kept": (on_the_wall(9, 0), -3 * 3600, ClockQuality.UNSYNCHRONIZED),
    "in the future": (on_the_wall(15, 0), 0, ClockQuality.UNSYNCHRONIZED),
    "a clock never set": (on_the_wall(12, 0, year=2000), 0, ClockQuality.UNSYNCHRONIZED),
    "beyond all time": (on_the_wall(12, 0, year=9999), 0, ClockQuality.UNSYNCHRONIZED),
    "no date": (bytes(7), 0, ClockQuality.SYNCHRONIZED),
}


@pytest.mark.parametrize(("told", "after_s", "clock"), TIMES.values(), ids=TIMES)
def test_a_measurement_that_was_kept_is_of_when_it_was_made(told: bytes, after_s: int, clock: ClockQuality) -> None:
    (reading,) = temperature_readings(b"\x02" + WARM + told, NOW)

    assert ((reading.time_ns - NOON_NS) / 1e9, reading.clock) == (after_s, clock)


def test_a_spot_check_from_storage_without_a_set_clock_is_of_an_unknown_time() -> None:
    stored = (1 << 9).to_bytes(2, "little")

    with_clock, _ = spot_check_readings(b"\x03" + WELL + on_the_wall(11, 59) + stored, NOW)
    without, _ = spot_check_readings(b"\x13" + WELL + on_the_wall(9, 0) + stored, NOW)

    assert ((with_clock.time_ns - NOON_NS) / 1e9, with_clock.clock) == (-60, ClockQuality.UNSYNCHRONIZED)
    assert (without.time_ns, without.clock) == (NOON_NS, ClockQuality.UNSYNCHRONIZED)


def test_a_battery_of_more_than_all_is_refused() -> None:
    with pytest.raises(SignalError, match="battery level 65 is 101 %"):
        battery_readings(b"\x65", NOW)
