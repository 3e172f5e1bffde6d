from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.system.processes import Agent, Hub, Mosquitto


@dataclass(frozen=True)
class Ward:
    """A broker, a hub and a gateway on one patient."""

    broker: Mosquitto
    hub: Hub
    agent: Agent


@pytest.fixture(scope="session")
def five_minutes(demo_record: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first five minutes of the record that is shipped, as a record of its own."""
    samples = 5 * 60 * 360
    folder = tmp_path_factory.mktemp("record")
    data = demo_record.with_suffix(".dat").read_bytes()[: samples * 3]  # format 212: two channels in three bytes
    (folder / "short.dat").write_bytes(data)
    stored = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int64)
    columns = (stored[:, 0] | (stored[:, 1] & 0x0F) << 8, stored[:, 2] | (stored[:, 1] & 0xF0) << 4)
    lines = [f"short 2 360 {samples}"]
    for line, column in zip(demo_record.with_suffix(".hea").read_text().splitlines()[1:3], columns, strict=True):
        words = line.split()
        signed = np.where(column > 2047, column - 4096, column)
        words[0], words[6] = "short.dat", str(int(signed.sum().astype(np.int16)))  # the new checksum
        lines.append(" ".join(words))
    (folder / "short.hea").write_text("\n".join(lines) + "\n")
    return folder / "short"


@pytest.fixture
def ward(tmp_path: Path, five_minutes: Path, ecg_bundle: Path) -> Iterator[Ward]:
    with ExitStack() as cleanup:
        broker = Mosquitto(folder=tmp_path / "broker")
        hub = Hub(folder=tmp_path / "hub", broker=broker.url)
        agent = Agent(
            folder=tmp_path / "agent",
            broker=broker.url,
            bundle=ecg_bundle,
            trusted_key=ecg_bundle.with_name("signing.pub"),
            record=five_minutes,
        )
        for program in (broker, hub, agent):
            cleanup.callback(program.stop)
        broker.start()
        hub.start()
        yield Ward(broker=broker, hub=hub, agent=agent)
