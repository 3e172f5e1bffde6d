from __future__ import annotations

import importlib.util
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from device_agents.sources.ble_central import BleakCentral
from device_agents.sources.ble_readings import BATTERY_LEVEL, characteristic
from device_agents.sources.ble_source import BleSource, Radio
from edge_sdk import codes
from edge_sdk.errors import MissingDependency, SignalError
from tests.fakes.peripheral import FakeCentral, FakeCharacteristic, FakePeripheral

HEART_RATE, THERMOMETER = characteristic(0x2A37), characteristic(0x2A1C)
PATIENCE_S = 5.0


def strap(address: str = "AA:00", name: str = "strap") -> FakePeripheral:
    offered = [FakeCharacteristic(HEART_RATE), FakeCharacteristic(BATTERY_LEVEL, ("read",))]
    return FakePeripheral(address, name, offered, values={BATTERY_LEVEL: b"\x5a"})


def until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


@pytest.fixture
def radios() -> Iterator[Callable[..., Radio]]:
    made: list[Radio] = []

    def make(*peripherals: FakePeripheral) -> Radio:
        made.append(Radio(FakeCentral(*peripherals)))
        return made[-1]

    yield make
    for radio in made:
        radio.close()
        radio.close()


def source_of(wanted: str, radio: Radio) -> BleSource:
    return BleSource(wanted, radio=radio, now_ns=lambda: 10**18, chance=lambda: 0.0)


@pytest.mark.parametrize("wanted", ["AA:00", "aa:00", "strap"])
def test_a_wearable_is_found_by_address_or_name_and_says_what_it_measures(
    wanted: str, radios: Callable[..., Radio]
) -> None:
    wearable = strap()
    source = source_of(wanted, radios(strap("BB:00", "another"), wearable))
    readings = source.readings()

    battery = next(readings)
    wearable.notify(HEART_RATE, b"\x00\x48")
    rate = next(readings)
    source.close()

    assert (battery.code, battery.value) == (codes.BATTERY_CHARGE, 90.0)
    assert (rate.code, rate.value, rate.time_ns) == (codes.HEART_RATE, 72.0, 10**18)
    assert list(readings) == []
    assert wearable.disconnects == 1


def test_a_lost_wearable_says_so_and_is_heard_again_when_it_is_back(
    radios: Callable[..., Radio], caplog: pytest.LogCaptureFixture
) -> None:
    wearable = strap()
    radio = radios(wearable)
    source = source_of("strap", radio)
    readings = source.readings()
    next(readings)
    wearable.notify(HEART_RATE, b"\x10\x48\x00\x04")
    next(readings), next(readings)

    with caplog.at_level(logging.INFO):
        wearable.vanish()
        gone = next(readings)
        until(lambda: source.link.reason.startswith("nothing of"))
        lost, searches = source.link, radio.central.searches
        until(lambda: radio.central.searches > searches + 3)
        wearable.come_back()
        battery = next(readings)
        wearable.notify(HEART_RATE, b"\x00\x49")
        back = next(readings)
    linked = source.link
    source.close()

    assert (gone.code, gone.value, gone.absent_reason) == (codes.HEART_RATE, None, "temp-unknown")
    assert (lost.connected, lost.losses) == (False, 1)
    assert (battery.code, back.value) == (codes.BATTERY_CHARGE, 73.0)
    assert (linked.connected, linked.reason) == (True, "")
    assert list(readings) == []
    assert [record.message.removeprefix("wearable 'strap' ") for record in caplog.records] == [
        "is not connected: the connection ended",
        "is not connected: nothing of the address or name 'strap' advertises within reach",
        "is connected",
    ]


def test_a_thermometer_that_hangs_up_when_it_has_spoken_takes_nothing_back(radios: Callable[..., Radio]) -> None:
    thermometer = FakePeripheral("AA:00", "thermometer", [FakeCharacteristic(THERMOMETER, ("indicate",))])
    source = source_of("thermometer", radios(thermometer))
    readings = source.readings()

    def speak() -> None:
        assert thermometer.subscribed.wait(PATIENCE_S)
        thermometer.notify(THERMOMETER, b"\x00\x74\x01\x00\xff")
        thermometer.vanish()
        until(lambda: source.link.losses == 1)
        thermometer.come_back()
        assert thermometer.subscribed.wait(PATIENCE_S)
        thermometer.notify(THERMOMETER, b"\x00\x75\x01\x00\xff")

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    told = [next(readings).value, next(readings).value]
    speaker.join()
    source.close()

    assert told == [37.2, 37.3]
    assert thermometer.connections == 2


def test_a_message_that_is_none_is_counted_and_passed_over(radios: Callable[..., Radio]) -> None:
    wearable = strap()
    source = source_of("strap", radios(wearable))
    readings = source.readings()
    next(readings)

    wearable.notify(HEART_RATE, b"\x01\x48")
    wearable.notify(HEART_RATE, b"\x00\x48")

    assert next(readings).value == 72.0
    assert source.link.refused == 1
    source.close()
    assert list(readings) == []


def test_a_wearable_that_measures_nothing_known_is_refused(radios: Callable[..., Radio]) -> None:
    lamp = FakePeripheral("AA:00", "lamp", [FakeCharacteristic(characteristic(0x2A00), ("read",))])

    with pytest.raises(SignalError, match=r"offers 00002a00-.*, and none of these is read here: choose a heart rate"):
        next(source_of("lamp", radios(lamp)).readings())


def test_a_wearable_that_does_not_say_what_it_offers_is_tried_again(radios: Callable[..., Radio]) -> None:
    wearable = strap()
    offered, wearable.offered = wearable.offered, []
    source = source_of("strap", radios(wearable))
    readings = source.readings()
    threading.Timer(0.05, lambda: wearable.offered.extend(offered)).start()

    assert next(readings).value == 90.0
    assert wearable.connections > 1
    source.close()
    assert list(readings) == []


def test_wearables_take_turns_with_the_radio(radios: Callable[..., Radio]) -> None:
    wearables = [strap(f"AA:{number:02}", f"strap {number}") for number in range(5)]
    radio = radios(*wearables)
    sources = [source_of(wearable.name, radio) for wearable in wearables]
    threads = [
        threading.Thread(target=lambda source=source: list(source.readings()), daemon=True) for source in sources
    ]
    for thread in threads:
        thread.start()

    until(lambda: all(source.link.connected for source in sources))
    for source in sources:
        source.close()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert radio.central.collisions == 0
    assert [wearable.disconnects for wearable in wearables] == [1] * 5


def test_a_source_that_is_closed_while_it_looks_ends_at_once(radios: Callable[..., Radio]) -> None:
    source = source_of("nobody", radios())
    threading.Timer(0.05, source.close).start()
    began_s = time.monotonic()

    assert list(source.readings()) == []
    assert time.monotonic() - began_s < 2


def test_a_source_that_was_closed_says_nothing(radios: Callable[..., Radio]) -> None:
    source = source_of("strap", radios(strap()))
    source.close()
    source.close()

    assert list(source.readings()) == []


def test_a_radio_that_is_closed_first_disconnects_and_ends_its_wearables() -> None:
    wearable = strap()
    radio = Radio(FakeCentral(wearable))
    readings = source_of("strap", radio).readings()
    next(readings)

    radio.close()

    assert wearable.disconnects == 1
    assert list(readings) == []


def test_without_bleak_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bleak", None)

    with pytest.raises(MissingDependency, match=r"pip install 'wearable-edge-sdk\[ble\]'"):
        BleakCentral()


@pytest.mark.skipif(importlib.util.find_spec("bleak") is None, reason="bleak is not installed")
def test_without_a_radio_bleak_is_asked_again_and_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nobody = tmp_path_factory.mktemp("bus") / "none"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={nobody}")
    radio = Radio(BleakCentral())
    source = source_of("AA:BB:CC:DD:EE:FF", radio)
    thread = threading.Thread(target=lambda: list(source.readings()), daemon=True)
    thread.start()

    until(lambda: bool(source.link.reason))
    source.close()
    thread.join(PATIENCE_S)
    radio.close()

    assert not thread.is_alive()
    assert not source.link.connected
