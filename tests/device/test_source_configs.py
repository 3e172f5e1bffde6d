from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from device_agents.config import BrokerConfig
from device_agents.source_configs import (
    CsvConfig,
    EdfConfig,
    FeedConfig,
    MqttTopicConfig,
    RecordingConfig,
    SimulatedConfig,
    SimulatedWardConfig,
)
from device_agents.sources.mqtt_topic import MqttTopicFeed
from device_agents.sources.opening import open_feed, open_recording
from edge_sdk.errors import ConfigError
from edge_sdk.settings import load_toml
from edge_sdk.signals import SignalFormat
from tests.fakes.sink import FakeSink

ECG = SignalFormat(kind="ecg", unit="mV", channels=("MLII",), sample_rate_hz=360)
BROKER = BrokerConfig(url="mqtt://127.0.0.1:1")


class Recordings(msgspec.Struct, forbid_unknown_fields=True):
    source: RecordingConfig


class Feeds(msgspec.Struct, forbid_unknown_fields=True):
    feed: FeedConfig


def typed(folder: Path, kind: type, text: str) -> Any:
    (folder / "agent.toml").write_text(text)
    return load_toml(folder / "agent.toml", kind, what="agent configuration")


def test_a_csv_file_that_is_configured_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t;lead\n0;1\n3;2\n6;3\n")
    text = f"""[source]
type = "csv"
file = "{tmp_path / "a.csv"}"
unit = "mV"
channels = ["lead"]
time = "t"
time_unit = "ms"
sample_rate_hz = 360
delimiter = ";"
"""
    config = typed(tmp_path, Recordings, text.replace("= 360", "= 333")).source
    recording = open_recording(config, wanted=msgspec.structs.replace(ECG, sample_rate_hz=333))

    np.testing.assert_array_equal(np.concatenate(list(recording.values(block=2)))[:, 0], [1, 2, 3])


def test_an_edf_file_that_is_configured_is_looked_for(tmp_path: Path) -> None:
    config = typed(tmp_path, Recordings, '[source]\ntype = "edf"\nfile = "none.edf"\nresample = true\n').source

    assert config == EdfConfig(file=Path("none.edf"), resample=True)
    with pytest.raises(ConfigError, match=r"recording none\.edf does not exist"):
        open_recording(config, wanted=ECG)


def test_a_patient_that_is_configured_is_simulated(tmp_path: Path) -> None:
    text = """[source]
type = "simulated"
duration_s = 4

[[source.episodes]]
kind = "lead_off"
start_s = 1
duration_s = 1
"""
    recording = open_recording(typed(tmp_path, Recordings, text).source, wanted=ECG)

    samples = np.concatenate(list(recording.values(block=100)))
    assert len(samples) == 4 * 360
    assert np.isnan(samples[360:720]).all()
    assert np.isfinite(samples).sum() == 3 * 360


def test_a_ward_that_is_configured_is_simulated(tmp_path: Path) -> None:
    text = '[feed]\ntype = "simulated-ward"\nstreams = 3\nspeed = 0\nduration_s = 2\nprefix = "cot-"\n'
    sink = FakeSink()

    open_feed(typed(tmp_path, Feeds, text).feed, wanted=ECG, broker=BROKER, client_id="x").run(sink)

    assert {name: len(streams[0].samples) for name, streams in sink.streams.items()} == {
        "cot-1": 720,
        "cot-2": 720,
        "cot-3": 720,
    }


@pytest.mark.parametrize("url", ["", "mqtt://127.0.0.1:2"])
def test_wearables_are_heard_at_their_own_broker_or_the_agent_s(url: str) -> None:
    feed = open_feed(MqttTopicConfig(topic="w/{stream}", url=url), wanted=ECG, broker=BROKER, client_id="x")

    assert isinstance(feed, MqttTopicFeed)
    assert feed._url == (url or BROKER.url)


WRONG = {
    "csv without times": ({"type": "csv", "file": "a", "unit": "mV"}, "give time, sample_rate_hz or both"),
    "csv delimiter": (
        {"type": "csv", "file": "a", "unit": "mV", "time": "t", "delimiter": ", "},
        "delimiter must be one character",
    ),
    "blocks of nothing": ({"type": "edf", "file": "a", "block_s": 0}, "block_s more than 0"),
    "a dead rate": ({"type": "simulated", "rate_per_min": 0}, "rate_per_min"),
    "an unknown episode": (
        {"type": "simulated", "episodes": [{"kind": "sneeze", "start_s": 0, "duration_s": 1}]},
        "sneeze",
    ),
    "an endless ward": ({"type": "simulated-ward", "streams": 0}, "streams"),
    "a login without its broker": ({"type": "mqtt-topic", "topic": "{stream}", "username": "me"}, "give url too"),
    "an unknown key": ({"type": "edf", "file": "a", "resmple": True}, "resmple"),
}


@pytest.mark.parametrize(("typed_in", "words"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_refused_when_it_is_read(typed_in: dict[str, Any], words: str) -> None:
    kinds = CsvConfig | EdfConfig | SimulatedConfig | SimulatedWardConfig | MqttTopicConfig
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(typed_in, kinds, dec_hook=lambda kind, value: kind(value))
