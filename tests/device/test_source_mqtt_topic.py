from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from device_agents.config import BrokerConfig
from device_agents.sources.mqtt_topic import MqttTopicFeed, TopicPattern
from device_agents.sources.mqtt_topic_messages import End, Message, Samples, Start, decode
from edge_sdk.errors import ConfigError, MessageError
from edge_sdk.observation import ClockQuality
from tests.device.records import BASELINE, GAIN, read_stored
from tests.fakes.sink import FakeSink, Received
from tests.system.processes import Mosquitto, wait_until

ECG = Start(session="a", kind="ecg", unit="mV", channels=("II",), sample_rate_hz=360)
BLOCK = 90
ENCODERS: dict[str, Callable[[Message], bytes]] = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    started = Mosquitto(folder=tmp_path_factory.mktemp("broker"))
    started.start()
    yield started
    started.stop()


@dataclass(frozen=True, kw_only=True)
class Ward:
    """A feed that listens, and a wearable that speaks, on topics of their own."""

    feed: MqttTopicFeed
    sink: FakeSink
    wearable: mqtt.Client
    topic: str

    def say(self, name: str, message: Message | bytes, *, retain: bool = False, encode: str = "msgpack") -> None:
        payload = message if isinstance(message, bytes) else ENCODERS[encode](message)
        self.wearable.publish(f"{self.topic}/{name}", payload, qos=1, retain=retain).wait_for_publish(10)

    def wait_for(self, count: int, kind: str) -> None:
        wait_until(lambda: self.feed.counts[kind] >= count, what=f"{count} {kind}, not {dict(self.feed.counts)}")

    def wait_for_end(self, name: str) -> None:
        wait_until(lambda: name in self.sink.streams and name not in self.sink.open_streams, what=f"the end of {name}")

    def received(self, name: str) -> Received:
        return self.sink.streams[name][-1]


@pytest.fixture
def listen(broker: Mosquitto, request: pytest.FixtureRequest) -> Iterator[Callable[..., Ward]]:
    number = 0
    with ExitStack() as cleanup:

        def make(topic: str = "", **options: int) -> Ward:
            nonlocal number
            number += 1
            topic = topic or f"wearables-{abs(hash(request.node.name))}"
            feed = MqttTopicFeed(
                BrokerConfig(url=broker.url), topic=f"{topic}/{{stream}}", client_id=f"{topic}-{number}", **options
            )
            sink = FakeSink(lambda format_: format_.sample_rate_hz != 500)
            thread = threading.Thread(target=feed.run, args=(sink,))
            thread.start()
            cleanup.callback(thread.join)
            cleanup.callback(feed.close)
            wearable = mqtt.Client(CallbackAPIVersion.VERSION2)
            wearable.connect("127.0.0.1", broker.port)
            wearable.loop_start()
            cleanup.callback(wearable.loop_stop)
            cleanup.callback(wearable.disconnect)
            ward = Ward(feed=feed, sink=sink, wearable=wearable, topic=topic)
            probe = End()  # of no stream: comes through once the feed listens
            wait_until(lambda: ward.say("probe", probe) or feed.counts["ends"] > 0, what="the feed to listen")
            return ward

        yield make


@pytest.fixture
def ward(listen: Callable[..., Ward]) -> Ward:
    return listen()


def blocks_of(stored: np.ndarray, *, start: int = 0, clock_ns: int | None = None) -> list[Samples]:
    """Stored ADC values as int16 messages."""
    return [
        Samples(
            seq=number,
            index=start + at,
            samples=(stored[at : at + BLOCK] - BASELINE).astype("<i2").tobytes(),
            factor=1 / GAIN,
            time_ns=None if clock_ns is None else clock_ns + round((start + at) * 1e9 / 360),
        )
        for number, at in enumerate(range(0, len(stored), BLOCK))
    ]


@pytest.fixture(scope="module")
def stored(demo_record: Path) -> np.ndarray:
    return read_stored(demo_record, samples=10 * BLOCK)[:, 0]


def in_mv(stored: np.ndarray) -> np.ndarray:
    return ((stored - BASELINE)[:, np.newaxis] / GAIN).astype(np.float32)


@pytest.mark.parametrize("encode", ENCODERS)
def test_a_wearable_s_ecg_arrives_as_it_was_measured(encode: str, ward: Ward, stored: np.ndarray) -> None:
    ward.say("bed-1", msgspec.structs.replace(ECG, subject="patient-1"), encode=encode)
    for block in blocks_of(stored):
        ward.say("bed-1", block, encode=encode)
    ward.say("bed-1", End(reason="taken off"), encode=encode)
    ward.wait_for_end("bed-1")

    received = ward.received("bed-1")
    np.testing.assert_array_equal(received.samples, in_mv(stored))
    assert (received.format, received.subject, received.reason) == (ECG.format, "patient-1", "taken off")
    assert received.clock is ClockQuality.CORRECTED


def test_many_streams_share_one_connection(ward: Ward, stored: np.ndarray) -> None:
    names = [f"bed-{number}" for number in range(40)]
    for name in names:
        ward.say(name, ECG)
    for block in blocks_of(stored[: 3 * BLOCK]):
        for name in names:
            ward.say(name, block)
    ward.wait_for(120, "samples")

    assert sorted(ward.sink.open_streams) == sorted(names)
    for name in names:
        np.testing.assert_array_equal(ward.received(name).samples, in_mv(stored[: 3 * BLOCK]))


def test_three_axes_and_floats_and_missing_samples(ward: Ward) -> None:
    values = np.random.default_rng(1).normal(size=(50, 3)).astype("<f4")
    values[10, 1], values[11, 2] = np.nan, np.inf
    ward.say("wrist", Start(session="a", kind="accelerometer", unit="g", channels=("x", "y", "z"), sample_rate_hz=50))
    ward.say("wrist", Samples(seq=0, index=0, encoding="float32", samples=values.tobytes()))
    ward.say("chest", ECG)
    ward.say("chest", Samples(seq=0, index=0, factor=0.5, samples=np.array([2, -32768], "<i2").tobytes()))
    ward.wait_for(2, "samples")

    np.testing.assert_array_equal(ward.received("wrist").samples, np.where(np.isfinite(values), values, np.nan))
    np.testing.assert_array_equal(ward.received("chest").samples[:, 0], [1.0, np.nan])


def test_a_message_that_comes_again_or_never_leaves_the_rest_in_place(ward: Ward, stored: np.ndarray) -> None:
    blocks = blocks_of(stored)
    ward.say("bed-1", ECG)
    for number in (0, 1, 1, 4, 2, 5):
        ward.say("bed-1", blocks[number])
    ward.wait_for(6, "samples")

    expected = in_mv(stored[: 6 * BLOCK])
    expected[2 * BLOCK : 4 * BLOCK] = np.nan
    np.testing.assert_array_equal(ward.received("bed-1").samples, expected)
    assert (ward.feed.counts["lost"], ward.feed.counts["repeated"]) == (2 * BLOCK, 2 * BLOCK)


def test_a_gateway_that_comes_later_learns_what_is_measured(listen: Callable[..., Ward], stored: np.ndarray) -> None:
    first = listen()
    first.say("bed-1", ECG, retain=True)
    first.say("bed-1", blocks_of(stored)[0])

    later = listen(first.topic)
    later.wait_for(1, "starts")
    later.say("bed-1", blocks_of(stored)[3])
    later.wait_for(1, "samples")

    np.testing.assert_array_equal(later.received("bed-1").samples, in_mv(stored[3 * BLOCK : 4 * BLOCK]))
    later.say("bed-1", b"", retain=True)
    later.wait_for_end("bed-1")
    assert later.received("bed-1").reason == "its message was cleared"


def test_the_same_start_again_changes_nothing_and_another_begins_a_new_stream(ward: Ward, stored: np.ndarray) -> None:
    blocks = blocks_of(stored)
    for message in (ECG, blocks[0], ECG, blocks[1], msgspec.structs.replace(ECG, session="b"), blocks[0]):
        ward.say("bed-1", message)
    ward.wait_for(3, "samples")

    once, again = ward.sink.streams["bed-1"]
    np.testing.assert_array_equal(once.samples, in_mv(stored[: 2 * BLOCK]))
    np.testing.assert_array_equal(again.samples, in_mv(stored[:BLOCK]))
    assert (once.reason, again.reason) == ("the wearable began anew", None)


def test_a_wearable_that_starts_anew_without_a_word_is_a_new_stream(ward: Ward, stored: np.ndarray) -> None:
    ward.say("bed-1", ECG)
    for block in [*blocks_of(stored[:BLOCK], start=10**6), *blocks_of(stored[: 2 * BLOCK])]:
        ward.say("bed-1", block)
    ward.wait_for(3, "samples")

    once, again = ward.sink.streams["bed-1"]
    assert once.reason == "the wearable began anew"
    np.testing.assert_array_equal(again.samples, in_mv(stored[: 2 * BLOCK]))


@pytest.mark.parametrize("clock_ns", [123_456_789, None])
def test_a_wearable_s_own_clock_is_understood(clock_ns: int | None, ward: Ward, stored: np.ndarray) -> None:
    ward.say("bed-1", ECG)
    began_ns = time.time_ns()
    ward.say("bed-1", blocks_of(stored[:BLOCK], clock_ns=clock_ns)[0])
    ward.wait_for(1, "samples")

    (block,) = ward.received("bed-1").blocks
    taken_ns = block.start_time_ns + round(BLOCK / 360 * 1e9)
    assert 0 <= taken_ns - began_ns < 2e9
    assert ward.received("bed-1").start_time_ns == block.start_time_ns


def test_a_wearable_that_knows_the_time_is_believed(ward: Ward, stored: np.ndarray) -> None:
    at_ns = 1_709_287_200_500_000_000
    ward.say("bed-1", msgspec.structs.replace(ECG, clock="utc"))
    for block in blocks_of(stored[: 2 * BLOCK], clock_ns=at_ns):
        ward.say("bed-1", block)
    ward.wait_for(2, "samples")

    received = ward.received("bed-1")
    assert received.clock is ClockQuality.SYNCHRONIZED
    assert [block.start_time_ns for block in received.blocks] == [at_ns, at_ns + 250_000_000]


def test_what_makes_no_sense_is_counted_and_harms_nobody(ward: Ward, stored: np.ndarray) -> None:
    blocks = blocks_of(stored)
    ward.say("bed-1", ECG)
    ward.say("bed-1", blocks[0])
    nonsense = [
        b"\xff\x00",
        b"{",
        b"[" * 100_000,
        b"\x91" * 100_000,
        b'{"type": "burn"}',
        b"x" * 300_000,
        msgspec.msgpack.encode({"type": "samples", "seq": 0, "index": -1, "samples": b"ab"}),
        msgspec.msgpack.encode({"type": "samples", "seq": 0, "index": 2**63, "samples": b"ab"}),
        msgspec.msgpack.encode({"type": "start", "session": "b", "kind": "ecg", "unit": "mV", "channels": []}),
        b'{"type": "start", "session": "b", "kind": "ecg", "unit": "mV", "channels": ["I"], "sample_rate_hz": 1e12}',
        b'{"type": "start", "session": "b", "kind": "ecg", "unit": "mV", "channels": ["I", "V"], "sample_rate_hz": 9}',
        b'{"type": "samples", "seq": 1, "index": 90, "samples": "AA==", "factor": 0}',
        Samples(seq=1, index=90, samples=b"ab", time_ns=2**63 - 1),
        Samples(seq=1, index=90, samples=b""),
        Samples(seq=1, index=90, samples=b"abc"),
        Samples(seq=1, index=90, samples=b"ab" * (60 * 360 + 1)),
    ]
    for payload in nonsense:
        ward.say("bed-1", payload)
    ward.say("bed-1", blocks[1])
    ward.wait_for(2, "samples")

    assert ward.feed.counts["refused"] == len(nonsense)
    np.testing.assert_array_equal(ward.received("bed-1").samples, in_mv(stored[: 2 * BLOCK]))


def test_who_is_not_announced_misnamed_or_not_wanted_is_counted(ward: Ward, stored: np.ndarray) -> None:
    block = blocks_of(stored)[0]
    ward.say("stranger", block)
    ward.say("bad name", ECG)
    ward.say("fast", msgspec.structs.replace(ECG, sample_rate_hz=500))
    ward.say("fast", block)
    ward.say("bed-1", ECG)
    ward.say("bed-1", block)
    ward.wait_for(1, "samples")

    assert {kind: ward.feed.counts[kind] for kind in ("unannounced", "misnamed", "refused")} == {
        "unannounced": 1,
        "misnamed": 1,
        "refused": 1,
    }
    assert list(ward.sink.streams) == ["bed-1"]


def test_there_is_a_limit_to_how_many_streams_are_announced(listen: Callable[..., Ward]) -> None:
    ward = listen(most_streams=3)
    for number in range(5):
        ward.say(f"bed-{number}", ECG)
    ward.say("bed-0", End())
    ward.say("bed-9", ECG)
    ward.wait_for(4, "starts")

    assert ward.feed.counts["too many"] == 2


def test_what_comes_while_the_connection_is_down_is_not_lost(tmp_path: Path, stored: np.ndarray) -> None:
    broker = Mosquitto(folder=tmp_path / "broker")
    broker.start()
    feed = MqttTopicFeed(BrokerConfig(url=broker.url), topic="w/{stream}", client_id="gateway")
    sink = FakeSink()
    thread = threading.Thread(target=feed.run, args=(sink,))
    thread.start()
    wearable = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="wearable", clean_session=False)
    wearable.reconnect_delay_set(0, 1)
    wearable.connect("127.0.0.1", broker.port)
    wearable.loop_start()
    try:
        wait_until(lambda: publish(wearable, End()) and feed.counts["ends"] > 0, what="the feed to listen")
        publish(wearable, ECG)
        publish(wearable, blocks_of(stored)[0])
        wait_until(lambda: feed.counts["samples"] == 1, what="the first block")

        broker.stop()
        for block in blocks_of(stored)[1:]:
            wearable.publish("w/bed-1", msgspec.msgpack.encode(block), qos=1)
        broker.start()

        wait_until(lambda: feed.counts["samples"] >= 10, what="everything to arrive")
        np.testing.assert_array_equal(sink.only("bed-1").samples, in_mv(stored))
    finally:
        wearable.disconnect()
        wearable.loop_stop()
        feed.close()
        thread.join()
        broker.stop()
    assert sink.only("bed-1").reason == "the gateway stops"


def publish(wearable: mqtt.Client, message: Message) -> bool:
    wearable.publish("w/bed-1", msgspec.msgpack.encode(message), qos=1).wait_for_publish(10)
    return True


@given(payload=st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(payload: bytes) -> None:
    with suppress(MessageError):
        assert isinstance(decode(payload), (Start, Samples, End))


@pytest.mark.parametrize("pattern", ["", "wearables", "a/{stream}/{stream}", "a//{stream}", "+/{stream}", "#/{stream}"])
def test_a_topic_that_names_no_stream_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="write it like"):
        TopicPattern(pattern)


def test_the_stream_is_told_by_its_level_of_the_topic() -> None:
    pattern = TopicPattern("ward/{stream}/ecg")

    assert pattern.filter == "ward/+/ecg"
    assert pattern.stream("ward/bed-1/ecg") == "bed-1"
    for other in ("ward/bed-1/ppg", "ward/bed-1", "ward/bed-1/ecg/x", "ward//ecg", "ward/{stream}/ecg"):
        assert pattern.stream(other) is None
