"""MQTT topic names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import topics
from edge_sdk.errors import ConfigError, MessageError
from edge_sdk.topics import DeviceTopics, every, parse

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
devices = st.builds(DeviceTopics, names, names)
LEAVES = tuple(leaf for leaf in topics.LEAVES if leaf != "latest")
WRONG_NAMES = [
    "",
    "+",
    "#",
    "a+b",
    "a#b",
    "a/b",
    "/",
    "$SYS",
    ".",
    "..",
    "-a",
    "a b",
    "a\n",
    "a\x00b",
    "é",
    "病院",
    "a" * 65,
]


@given(devices, st.sampled_from(LEAVES))
def test_a_topic_is_understood_as_it_was_built(device: DeviceTopics, leaf: str):
    assert parse(getattr(device, leaf)) == (device, leaf)


@given(devices, st.text(min_size=1))
def test_any_code_at_all_makes_a_topic_that_mqtt_accepts(device: DeviceTopics, code: str):
    topic = device.latest(code)
    assert parse(topic) == (device, topic.split("/", 4)[4])
    assert topic.isascii()
    assert not set(topic) & set("+#\x00")


def test_ordinary_codes_stand_in_topics_as_they_are():
    assert DeviceTopics("ward-3", "gw.7").latest("8867-4") == "edge/v1/ward-3/gw.7/latest/8867-4"


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_name_that_mqtt_or_a_file_system_could_misread_is_refused(name: str):
    with pytest.raises(ConfigError, match="device name"):
        DeviceTopics("site", name)
    with pytest.raises(ConfigError, match="site name"):
        DeviceTopics(name, "device")


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_received_topic_with_such_a_name_is_refused(name: str):
    for topic in (f"edge/v1/{name}/device/status", f"edge/v1/site/{name}/status"):
        with pytest.raises(MessageError):
            parse(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "edge/v1/site/device",
        "edge/v1/site/device/",
        "edge/v2/site/device/status",
        "edge/v1/site/device/secrets",
        "edge/v1/site/device/status/more",
        "edge/v1/site/device/latest",
        "edge/v1/site/device/latest/",
        "edge/v1/site/device/latest/a/b/c",
        "/edge/v1/site/device/status",
        "Edge/v1/site/device/status",
    ],
)
def test_another_topic_is_refused(topic: str):
    with pytest.raises(MessageError):
        parse(topic)


@given(st.text())
def test_random_topics_are_refused(topic: str):
    with pytest.raises(MessageError):
        parse(topic)


@given(devices, st.sampled_from(LEAVES))
def test_the_filter_of_a_leaf_covers_it_on_every_device(device: DeviceTopics, leaf: str):
    levels = zip(every(leaf).split("/"), getattr(device, leaf).split("/"), strict=True)
    assert all(wanted in ("+", level) for wanted, level in levels)
