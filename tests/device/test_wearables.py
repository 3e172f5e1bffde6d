from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest

from device_agents.config import WearableConfig, load_config
from device_agents.gateway import open_gateway
from edge_sdk import codes
from edge_sdk.errors import ConfigError
from edge_sdk.observation import Quantity
from tests.device.gateways import GatewayFolder
from tests.device.records import BASELINE, read_stored
from tests.device.test_ble_source import HEART_RATE, strap
from tests.device.test_docs import SOURCE_SECTION
from tests.fakes.firmware import Terminal, frames
from tests.fakes.peripheral import FakeCentral
from tests.system.processes import wait_until

RATE_HZ = 360


def test_what_a_bluetooth_wearable_tells_is_kept_under_its_stream_and_patient(gateway: GatewayFolder) -> None:
    gateway.change(SOURCE_SECTION, "")
    worn = strap()
    config = msgspec.structs.replace(
        load_config(gateway.config),
        wearables=(WearableConfig(name="strap", subject="patient-7", wearable=worn.address),),
    )

    with open_gateway(config, central=FakeCentral(worn)) as opened:
        worker = threading.Thread(target=opened.run)
        worker.start()
        assert worn.subscribed.wait(10)
        worn.notify(HEART_RATE, bytes([0, 72]))
        wait_until(lambda: opened.status().backlog > 1, what="battery and rate in the outbox")
        opened.stop()
        worker.join(10)

    battery, told = gateway.observations()
    assert battery.code == codes.BATTERY_CHARGE
    assert (told.code, told.value) == (codes.HEART_RATE, Quantity(72.0, "/min"))
    assert (told.stream, told.subject) == ("strap", "patient-7")


def test_a_stream_comes_from_a_serial_port(
    gateway: GatewayFolder, demo_record: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    steps = (read_stored(demo_record, samples=20 * RATE_HZ)[:, :1] - BASELINE).astype(np.int16)
    terminal = Terminal()
    gateway.change(SOURCE_SECTION, f'[source]\ntype = "serial"\nport = "{terminal.path}"\n')

    with open_gateway(load_config(gateway.config)) as opened:
        worker = threading.Thread(target=opened.run)
        worker.start()
        wait_until(lambda: f"{terminal.path}: open" in caplog.text, what="an open port")
        terminal.write(b"".join([b"\0", *frames(steps, size=36)]))
        wait_until(lambda: opened.counts.samples >= len(steps), what="every sample")
        opened.stop()
        worker.join(10)

    terminal.unplug()
    assert any(item.code == codes.BEAT_CLASS for item in gateway.observations())


def test_two_streams_of_one_name_are_refused(gateway: GatewayFolder) -> None:
    wearable = '[[wearables]]\nname = "a"\nsubject = "p"\nwearable = "x"\n'
    gateway.change("[broker]", f"{wearable}{wearable}[broker]")

    with pytest.raises(ConfigError, match="two streams are named 'a'"):
        load_config(gateway.config)
