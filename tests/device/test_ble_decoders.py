from __future__ import annotations

import struct
from datetime import datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from device_agents.sources.ble_heart_rate import HeartRate, decode_heart_rate
from device_agents.sources.ble_octets import Medical, Octets
from device_agents.sources.ble_oximeter import Oximetry, Saturation, decode_continuous, decode_spot_check
from device_agents.sources.ble_reading import Arrival
from device_agents.sources.ble_readings import CHARACTERISTICS
from device_agents.sources.ble_thermometer import decode_temperature
from edge_sdk.errors import SignalError

MARCH_2ND = struct.pack("<HBBBBB", 2026, 3, 2, 14, 30, 5)


def sfloat(mantissa: int, exponent: int = 0) -> bytes:
    return struct.pack("<H", (exponent & 0xF) << 12 | mantissa & 0xFFF)


def float32(mantissa: int, exponent: int = 0) -> bytes:
    return struct.pack("<I", (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF)


def pair(spo2: int, pulse: int) -> Saturation:
    return Saturation(spo2_percent=Medical(float(spo2)), pulse_per_min=Medical(float(pulse)))


HEART_RATES = {
    "8 bits": (b"\x00\x48", (72, None, None, ())),
    "16 bits": (b"\x01\x2c\x01", (300, None, None, ())),
    "no contact": (b"\x04\x48", (72, False, None, ())),
    "contact": (b"\x06\x48", (72, True, None, ())),
    "energy": (b"\x08\x48\x10\x27", (72, None, 10_000, ())),
    "intervals": (b"\x10\x3c\x00\x04\x00\x02", (60, None, None, (1.0, 0.5))),
    "intervals announced, none yet": (b"\x10\x3c", (60, None, None, ())),
    "all": (b"\x1f\x48\x00\xff\xff\x00\x03", (72, True, 65_535, (0.75,))),
}


@pytest.mark.parametrize(("data", "means"), HEART_RATES.values(), ids=HEART_RATES)
def test_a_heart_rate_measurement_is_read_as_its_flags_say(
    data: bytes, means: tuple[int, bool | None, int | None, tuple[float, ...]]
) -> None:
    per_min, contact, energy_kj, intervals_s = means

    assert decode_heart_rate(data) == HeartRate(
        per_min=per_min, contact=contact, energy_kj=energy_kj, intervals_s=intervals_s
    )


SFLOATS = {
    # The examples of ISO/IEEE 11073-20601, annex F.8: 114 is 0x0072.
    "an integer": (b"\x72\x00", 114.0, ""),
    "tenths": (sfloat(367, -1), 36.7, ""),
    "hundreds": (sfloat(12, 2), 1200.0, ""),
    "negative": (sfloat(-5, -1), -0.5, ""),
    "the largest": (sfloat(2045), 2045.0, ""),
    "NaN's mantissa with an exponent": (sfloat(2047, -1), 204.7, ""),
    "NaN": (b"\xff\x07", None, "not-a-number"),
    "NRes": (b"\x00\x08", None, "error"),
    "+INFINITY": (b"\xfe\x07", None, "positive-infinity"),
    "-INFINITY": (b"\x02\x08", None, "negative-infinity"),
    "reserved": (b"\x01\x08", None, "error"),
}
FLOATS = {
    "an integer": (b"\x72\x00\x00\x00", 114.0, ""),
    "tenths": (b"\x6c\x01\x00\xff", 36.4, ""),  # the Health Thermometer's own example: 0xFF00016C
    "negative": (float32(-5, -1), -0.5, ""),
    "the smallest exponent": (float32(1, -128), 1e-128, ""),
    "the largest exponent": (float32(1, 127), 1e127, ""),
    "NaN": (b"\xff\xff\x7f\x00", None, "not-a-number"),
    "NRes": (b"\x00\x00\x80\x00", None, "error"),
    "+INFINITY": (b"\xfe\xff\x7f\x00", None, "positive-infinity"),
    "-INFINITY": (b"\x02\x00\x80\x00", None, "negative-infinity"),
    "reserved": (b"\x01\x00\x80\x00", None, "error"),
}


@pytest.mark.parametrize(("data", "value", "reason"), SFLOATS.values(), ids=SFLOATS)
def test_a_medical_float_of_16_bits_is_its_number_or_says_why_it_is_none(
    data: bytes, value: float | None, reason: str
) -> None:
    assert Octets(data, what="number").sfloat() == Medical(value, reason)


@pytest.mark.parametrize(("data", "value", "reason"), FLOATS.values(), ids=FLOATS)
def test_a_medical_float_of_32_bits_is_its_number_or_says_why_it_is_none(
    data: bytes, value: float | None, reason: str
) -> None:
    assert Octets(data, what="number").float32() == Medical(value, reason)


NORMAL, FAST, SLOW = sfloat(97) + sfloat(61), sfloat(96) + sfloat(62), sfloat(98) + sfloat(60)
STATUS, SENSOR, AMPLITUDE = b"\x20\x01", b"\x20\x00\x00", sfloat(123, -1)
CONTINUOUS = {
    "plain": (b"\x00" + NORMAL, Oximetry(normal=pair(97, 61))),
    "fast": (b"\x01" + NORMAL + FAST, Oximetry(normal=pair(97, 61), fast=pair(96, 62))),
    "slow": (b"\x02" + NORMAL + SLOW, Oximetry(normal=pair(97, 61), slow=pair(98, 60))),
    "status": (b"\x04" + NORMAL + STATUS, Oximetry(normal=pair(97, 61), measurement_status=0x0120)),
    "sensor": (b"\x08" + NORMAL + SENSOR, Oximetry(normal=pair(97, 61), sensor_status=0x20)),
    "amplitude": (b"\x10" + NORMAL + AMPLITUDE, Oximetry(normal=pair(97, 61), amplitude_percent=Medical(12.3))),
    "all": (
        b"\x1f" + NORMAL + FAST + SLOW + STATUS + SENSOR + AMPLITUDE,
        Oximetry(
            normal=pair(97, 61),
            fast=pair(96, 62),
            slow=pair(98, 60),
            measurement_status=0x0120,
            sensor_status=0x20,
            amplitude_percent=Medical(12.3),
        ),
    ),
}
MEASURED_AT = datetime(2026, 3, 2, 14, 30, 5)  # noqa: DTZ001  # a wearable knows no zone
SPOT_CHECKS = {
    "plain": (b"\x00" + NORMAL, Oximetry(normal=pair(97, 61))),
    "time": (b"\x01" + NORMAL + MARCH_2ND, Oximetry(normal=pair(97, 61), device_time=MEASURED_AT)),
    "no day yet": (b"\x01" + NORMAL + bytes(7), Oximetry(normal=pair(97, 61))),
    "status": (b"\x02" + NORMAL + STATUS, Oximetry(normal=pair(97, 61), measurement_status=0x0120)),
    "sensor": (b"\x04" + NORMAL + SENSOR, Oximetry(normal=pair(97, 61), sensor_status=0x20)),
    "amplitude": (b"\x08" + NORMAL + AMPLITUDE, Oximetry(normal=pair(97, 61), amplitude_percent=Medical(12.3))),
    "all": (
        b"\x1f" + NORMAL + MARCH_2ND + STATUS + SENSOR + AMPLITUDE,
        Oximetry(
            normal=pair(97, 61),
            device_time=MEASURED_AT,
            clock_set=False,
            measurement_status=0x0120,
            sensor_status=0x20,
            amplitude_percent=Medical(12.3),
        ),
    ),
}


@pytest.mark.parametrize(("data", "means"), CONTINUOUS.values(), ids=CONTINUOUS)
def test_a_continuous_oximeter_measurement_is_read_as_its_flags_say(data: bytes, means: Oximetry) -> None:
    assert decode_continuous(data) == means


@pytest.mark.parametrize(("data", "means"), SPOT_CHECKS.values(), ids=SPOT_CHECKS)
def test_a_spot_check_is_read_as_its_flags_say(data: bytes, means: Oximetry) -> None:
    assert decode_spot_check(data) == means


TEMPERATURES = {
    "Celsius": (b"\x00" + float32(372, -1), 37.2, None, ""),
    "Fahrenheit": (b"\x01" + float32(986, -1), 37.0, None, ""),
    "time": (b"\x02" + float32(372, -1) + MARCH_2ND, 37.2, MEASURED_AT, ""),
    "site": (b"\x04" + float32(372, -1) + b"\x06", 37.2, None, "mouth"),
    "a site to come": (b"\x04" + float32(372, -1) + b"\xc8", 37.2, None, ""),
    "all": (b"\x07" + float32(986, -1) + MARCH_2ND + b"\x01", 37.0, MEASURED_AT, "armpit"),
    "none, in Fahrenheit": (b"\x01\xff\xff\x7f\x00", None, None, ""),
}


@pytest.mark.parametrize(("data", "celsius", "device_time", "site"), TEMPERATURES.values(), ids=TEMPERATURES)
def test_a_temperature_is_read_as_its_flags_say(
    data: bytes, celsius: float | None, device_time: datetime | None, site: str
) -> None:
    read = decode_temperature(data)

    assert (read.celsius.value, read.device_time, read.site) == (celsius, device_time, site)


CUT_SHORT = {
    "heart rate": (decode_heart_rate, HEART_RATES["all"][0]),
    "continuous": (decode_continuous, CONTINUOUS["all"][0]),
    "spot check": (decode_spot_check, SPOT_CHECKS["all"][0]),
    "temperature": (decode_temperature, TEMPERATURES["all"][0]),
}


@pytest.mark.parametrize(("decode", "data"), CUT_SHORT.values(), ids=CUT_SHORT)
def test_a_measurement_cut_short_or_too_long_says_so(decode, data: bytes) -> None:  # noqa: ANN001
    with pytest.raises(SignalError, match=f"ends after {len(data) - 1} octets"):
        decode(data[:-1])
    with pytest.raises(SignalError, match=r"has \d octets more|ends after"):
        decode(data + b"\x00")


@pytest.mark.parametrize(("decode", "data"), CUT_SHORT.values(), ids=CUT_SHORT)
def test_what_a_newer_specification_adds_is_passed_over(decode, data: bytes) -> None:  # noqa: ANN001
    newer = bytes([data[0] | 0x80]) + data[1:]

    assert decode(newer + b"\x00") == decode(data)


def test_a_time_that_is_none_is_refused() -> None:
    thirteenth_month = struct.pack("<HBBBBB", 2026, 13, 2, 14, 30, 5)

    with pytest.raises(SignalError, match="2026-13-2 14:30:5, which is none"):
        decode_spot_check(b"\x01" + NORMAL + thirteenth_month)


@settings(deadline=None)  # the machine may be busy
@given(uuid=st.sampled_from(sorted(CHARACTERISTICS)), data=st.binary(max_size=24), time_ns=st.integers(0, 2**62))
@example(uuid=min(CHARACTERISTICS), data=b"", time_ns=0)
def test_any_bytes_give_readings_that_can_be_told_or_say_what_is_wrong(uuid: str, data: bytes, time_ns: int) -> None:
    try:
        readings = CHARACTERISTICS[uuid](data, Arrival(time_ns))
    except SignalError as error:
        problem, readings = error.problem, ()
    else:
        problem = data.hex(" ")
    assert data.hex(" ") in problem
    for reading in readings:
        assert (reading.value is None) == bool(reading.absent_reason)
        assert (reading.value is None) == (reading.quality is None)
        assert reading.value is None or abs(reading.value) < 1e140
        assert abs(reading.time_ns) < 2**63
