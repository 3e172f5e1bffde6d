from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_agents.config import BrokerConfig
from device_agents.latest import LatestValues
from device_agents.outbox import Outbox
from device_agents.uplink import Uplink
from edge_sdk.messages import Status
from edge_sdk.topics import DeviceTopics
from tests.fakes.device import alarm, heart_rate
from tests.fakes.hub import FakeHub
from tests.system.processes import Mosquitto, wait_until

PLENTY = 10**6


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    started = Mosquitto(folder=tmp_path_factory.mktemp("broker"))
    started.start()
    yield started
    started.stop()


@dataclass(frozen=True, kw_only=True)
class Line:
    """An outbox, and a hub at the other end."""

    outbox: Outbox
    hub: FakeHub
    connect: Callable[[], Uplink]

    def put(self, count: int) -> None:
        self.outbox.put_many([heart_rate(60, at_s=second) for second in range(count)])
        self.outbox.sync()


@pytest.fixture
def line(broker: Mosquitto, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Line]:
    topics = DeviceTopics("ward", f"gateway-{abs(hash(request.node.name))}")
    with ExitStack() as cleanup:
        outbox = Outbox(tmp_path / "outbox.db", max_rows=60, max_bytes=PLENTY)
        cleanup.callback(outbox.close)
        hub = FakeHub(broker.url, topics)
        cleanup.enter_context(closing(hub))

        def connect() -> Uplink:
            status = Status(online=True, epoch=outbox.epoch)
            config = BrokerConfig(url=broker.url)
            uplink = Uplink(config, topics=topics, outbox=outbox, latest=LatestValues(), status=lambda: status)
            cleanup.callback(uplink.stop)
            uplink.start()
            return uplink

        yield Line(outbox=outbox, hub=hub, connect=connect)


def test_only_the_hub_empties_the_outbox(line: Line) -> None:
    line.put(10)
    line.connect()
    wait_until(lambda: len(line.hub.numbers) == 10, what="everything to be sent")
    assert line.outbox.backlog == 10

    line.hub.acknowledge(4, (6, 7))
    wait_until(lambda: line.outbox.backlog == 4, what="the acknowledged to be forgotten")

    line.hub.acknowledge(10)
    wait_until(lambda: line.outbox.backlog == 0, what="the rest")


def test_an_alarm_goes_before_what_has_waited_longer_and_on_its_own_topic(line: Line) -> None:
    line.put(20)
    seq = line.outbox.put(alarm())

    line.connect()

    wait_until(lambda: len(line.hub.numbers) == 21, what="everything to be sent")
    assert line.hub.numbers[0] == seq
    assert line.hub.alarms == [alarm()]


def test_a_new_connection_sends_again_what_nobody_acknowledged(line: Line) -> None:
    line.put(5)
    line.connect().stop()
    line.put(1)
    line.hub.batches.clear()

    line.connect()

    wait_until(lambda: set(line.hub.numbers) == set(range(1, 7)), what="all six again")


def test_what_was_given_up_is_told(line: Line) -> None:
    line.put(70)

    line.connect()
    wait_until(lambda: len(line.hub.tombstones) > 0, what="the tombstone")
    wait_until(lambda: len(line.hub.numbers) >= 60, what="the rest")
    told = line.hub.tombstones[0]
    assert (told.first_seq, told.last_seq) == (1, 10)

    line.hub.acknowledge(70)
    wait_until(lambda: line.outbox.backlog == 0, what="tombstones to be settled too")


@pytest.mark.parametrize("nonsense", [b"", b"\x00\xff", b"{}", b'{"epoch": "e", "watermark": -1}', b"[" * 10_000])
def test_nonsense_as_acknowledgement_changes_nothing(nonsense: bytes, line: Line) -> None:
    line.put(3)
    uplink = line.connect()
    wait_until(lambda: len(line.hub.numbers) == 3, what="everything to be sent")

    line.hub.say(nonsense)
    line.hub.acknowledge(3, epoch="another")
    line.hub.acknowledge(9)
    line.hub.acknowledge(1)

    wait_until(lambda: line.outbox.backlog == 2, what="the one good acknowledgement")
    assert uplink.failure is None


def test_a_device_says_that_it_is_there_and_that_it_goes(line: Line) -> None:
    uplink = line.connect()
    wait_until(lambda: len(line.hub.statuses) > 0, what="the first status")

    uplink.stop()

    wait_until(lambda: not line.hub.statuses[-1].online, what="the goodbye")
    assert line.hub.statuses[0].online
    assert line.hub.statuses[0].epoch == line.outbox.epoch
