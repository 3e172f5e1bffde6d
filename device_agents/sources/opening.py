"""From what a person configured to what it means."""

from __future__ import annotations

import msgspec

from device_agents.config import BrokerConfig
from device_agents.source_configs import (
    CsvConfig,
    EdfConfig,
    FeedConfig,
    MqttTopicConfig,
    RecordingConfig,
    SerialConfig,
    SimulatedConfig,
    SimulatedWardConfig,
)
from device_agents.sources.base import Feed
from device_agents.sources.csv_files import CsvRecording, RowTimes
from device_agents.sources.edf_files import EdfRecording
from device_agents.sources.mqtt_topic import MqttTopicFeed
from device_agents.sources.replay import Replayable
from device_agents.sources.serial_port import TerminalPort
from device_agents.sources.serial_readers import FrameReader, LineReader
from device_agents.sources.serial_source import SerialSource
from device_agents.sources.simulated import SimulatedRecording, Simulation
from device_agents.sources.simulated_ward import SimulatedFeed
from edge_sdk.signals import SignalFormat


def open_recording(config: RecordingConfig, *, wanted: SignalFormat) -> Replayable:
    """Open a recording.

    Args:
        config: Which one.
        wanted: What the model reads.

    Raises:
        ConfigError: It is not there.
        SignalError: It is not what the model reads.
    """
    if isinstance(config, CsvConfig):
        times = RowTimes(column=config.time, unit=config.time_unit, sample_rate_hz=config.sample_rate_hz)
        return CsvRecording(
            config.file,
            wanted=wanted,
            unit=config.unit,
            times=times,
            channels=config.channels,
            delimiter=config.delimiter,
        )
    if isinstance(config, EdfConfig):
        return EdfRecording(config.file, wanted=wanted, channels=config.channels, resample=config.resample)
    return SimulatedRecording(wanted, duration_s=config.duration_s, simulation=_simulation(config))


def open_serial(name: str, config: SerialConfig, *, wanted: SignalFormat) -> SerialSource:
    """Return a serial port as a source; whether it is there shows when it is read.

    Args:
        name: Of the stream.
        config: Which port.
        wanted: What the model reads, and the wearable therefore sends.
    """
    several = wanted.kind == "accelerometer"
    sent = wanted if several else msgspec.structs.replace(wanted, channels=wanted.channels[:1])
    text = LineReader(sent, scale=config.scale, baseline=config.baseline)
    return SerialSource(
        f"stream '{name}' on {config.port}",
        open_port=lambda: TerminalPort(config.port, speed=config.speed),
        format=sent,
        reader=FrameReader(sent) if config.layout == "frames" else text,
    )


def open_feed(config: FeedConfig, *, wanted: SignalFormat, broker: BrokerConfig, client_id: str) -> Feed:
    """Open what delivers many streams.

    Args:
        config: What it is.
        wanted: What the model reads; wearables say themselves what they measure.
        broker: The agent's own.
        client_id: A name at the broker that nothing else uses.

    Raises:
        ConfigError: The topic names no stream, or a file is not there.
        SignalError: The model's signal is not simulated.
    """
    if isinstance(config, MqttTopicConfig):
        theirs = _broker(config) if config.url else broker
        return MqttTopicFeed(theirs, topic=config.topic, client_id=client_id, most_streams=config.most_streams)
    return SimulatedFeed(
        wanted,
        streams=config.streams,
        simulation=_simulation(config),
        block_s=config.block_s,
        speed=config.speed,
        duration_s=config.duration_s,
        drift_ppm=config.drift_ppm,
        prefix=config.prefix,
    )


def _broker(config: MqttTopicConfig) -> BrokerConfig:
    return BrokerConfig(
        url=config.url, ca_file=config.ca_file, username=config.username, password_file=config.password_file
    )


def _simulation(config: SimulatedConfig | SimulatedWardConfig) -> Simulation:
    return Simulation(
        seed=config.seed,
        rate_per_min=config.rate_per_min,
        ectopic_share=config.ectopic_share,
        episodes=config.episodes,
    )
