from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.device import FakeDevice
from tests.system.processes import Hub, Mosquitto


@dataclass(frozen=True)
class Hospital:
    """A hub, its broker, and a device that talks to it."""

    hub: Hub
    broker: Mosquitto | None
    device: FakeDevice


@pytest.fixture(params=["mosquitto", "embedded"])
def hospital(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hospital]:
    with ExitStack() as cleanup:
        broker = Mosquitto(folder=tmp_path / "broker") if request.param == "mosquitto" else None
        if broker:
            cleanup.callback(broker.stop)
            broker.start()
        hub = Hub(folder=tmp_path / "hub", broker=broker.url if broker else "embedded")
        cleanup.callback(hub.stop)
        hub.start()
        device = FakeDevice(hub.broker_url, site="ward", device="gateway-1")
        cleanup.callback(device.close)
        yield Hospital(hub=hub, broker=broker, device=device)
