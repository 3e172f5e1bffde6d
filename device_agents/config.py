"""What a person configures, strictly read: a wrong key is refused with the nearest name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import msgspec

from device_agents.source_configs import (
    CsvConfig,
    EdfConfig,
    FeedConfig,
    ReplayedConfig,
    SerialConfig,
    SimulatedConfig,
)
from edge_sdk.alarm_rules import AlarmRule
from edge_sdk.errors import ConfigError
from edge_sdk.files import read_bytes
from edge_sdk.profiles import load_profile
from edge_sdk.settings import load_toml
from edge_sdk.topics import DeviceTopics

ONLY_MODEL = "model"
DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class ReplayConfig(
    ReplayedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="replay"
):
    """A recording.

    Attributes:
        record: WFDB record, without extension.
        channel: Channel to use; empty for the one that the model prefers.
    """

    record: Path
    channel: str = ""


SourceConfig = ReplayConfig | CsvConfig | EdfConfig | SimulatedConfig | SerialConfig


class WearableConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Bluetooth wearable that computes its values itself.

    Attributes:
        name: Of the stream of its values, unique on this gateway.
        subject: Pseudonym of the patient.
        wearable: Its address, or the name it advertises.
    """

    name: str
    subject: str
    wearable: str


class BrokerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The MQTT broker.

    Attributes:
        url: ``mqtt://host:1883``, or ``mqtts://host:8883`` for TLS.
        ca_file: Certificate authority that TLS trusts; empty for the system's.
        username: Empty for none.
        password_file: File whose first line is the password.
    """

    url: str
    ca_file: Path | None = None
    username: str = ""
    password_file: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.path.strip("/") or parts.username:
            raise ValueError(f"'{self.url}' is not like mqtt://host:1883 or mqtts://host:8883")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


class OutboxConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may wait for the hospital; the oldest routine observations go first when it is full."""

    max_bytes: int = 512 * 1024 * 1024
    max_rows: int = 2_000_000

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.max_rows < 1:
            raise ValueError("max_bytes and max_rows must be 1 or more")


class RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs the model."""

    backend: Literal["auto", "litert", "tflite-runtime"] = "auto"
    threads: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= 64:  # noqa: PLR2004
            raise ValueError("threads must be 1 to 64")


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wearable's signal.

    Attributes:
        name: Of the stream, unique on this gateway.
        subject: Pseudonym of the patient.
        source: Where its samples come from.
        models: Names of the models that read it; none for all that can.
    """

    name: str
    subject: str
    source: SourceConfig
    models: tuple[str, ...] = ()


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about one gateway.

    With one model and one stream, ``bundle``, ``subject``, ``stream`` and ``source`` say it all; with more, ``models``
    and ``streams`` do.

    Attributes:
        site: Hospital or ward, as in the MQTT topics.
        device: This gateway, unique within the site.
        hardware: Slug of its hardware profile.
        state_dir: Folder of its own, where the outbox lives.
        trusted_keys: Public keys whose bundles may run here.
        bundle: The model, where there is one.
        models: Bundles by the names that streams choose them by.
        subject: Pseudonym of the patient, where there is one stream.
        stream: Name of that stream.
        source: Where its samples come from, unless a program gives them to `open_gateway`.
        streams: Several.
        feeds: What delivers streams of its own.
        wearables: Bluetooth wearables.
        alarms: Rules beside or in place of the standard ones and the models'; see docs/alarms.md.
    """

    site: str
    device: str
    hardware: str
    state_dir: Path
    trusted_keys: tuple[Path, ...]
    broker: BrokerConfig
    bundle: Path | None = None
    models: dict[str, Path] = {}
    subject: str = ""
    stream: str = "ecg"
    source: SourceConfig | None = None
    streams: tuple[StreamConfig, ...] = ()
    feeds: tuple[FeedConfig, ...] = ()
    wearables: tuple[WearableConfig, ...] = ()
    alarms: tuple[AlarmRule, ...] = ()
    outbox: OutboxConfig = OutboxConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    def __post_init__(self) -> None:
        if (self.bundle is None) == (not self.models):
            raise ValueError("give either bundle or models")
        if self.streams and (self.source or self.subject):
            raise ValueError("give either streams, or one source with its subject")
        if not (self.streams or self.feeds or self.wearables or self.subject):
            raise ValueError("give the subject of the stream, or streams, feeds or wearables")
        names = [*(stream.name for stream in self.streams), *(wearable.name for wearable in self.wearables)]
        if repeated := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"two streams are named '{repeated}'")
        for stream in self.streams:
            for model in stream.models:
                if model not in self.bundles:
                    raise ValueError(f"stream '{stream.name}' names model '{model}', and models does not")

    @property
    def bundles(self) -> dict[str, Path]:
        """Every model's bundle, by name."""
        return self.models if self.bundle is None else {ONLY_MODEL: self.bundle}

    @property
    def configured_streams(self) -> tuple[StreamConfig, ...]:
        """Every stream whose source is configured."""
        if self.source is None:
            return self.streams
        return (StreamConfig(name=self.stream, subject=self.subject, source=self.source),)

    @property
    def topics(self) -> DeviceTopics:
        """Where this device speaks."""
        return DeviceTopics(self.site, self.device)


def load_config(path: Path) -> AgentConfig:
    """Read ``agent.toml``; relative paths in it are relative to its folder.

    Raises:
        ConfigError: Anything in it is wrong.
        ProfileError: It names no known board.
    """
    config = load_toml(path, AgentConfig, what="agent configuration")
    if not config.trusted_keys:
        raise ConfigError(f"agent configuration {path} trusts no key", remedy="name the maker's signing.pub")
    _ = config.topics  # refuses names that a topic cannot hold
    load_profile(config.hardware)
    folder = path.resolve().parent
    config = cast("AgentConfig", _beside(folder, config))
    for file, what in (
        (config.broker.password_file, "password file"),
        (config.broker.ca_file, "certificate authority"),
    ):
        if file:
            read_bytes(file, what=what)  # a slip is told before anything is made
    return config


def _beside(folder: Path, value: Any) -> Any:
    """Return a configuration with every path in it relative to ``folder``."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        return tuple(_beside(folder, part) for part in value)
    if isinstance(value, dict):
        return {key: _beside(folder, part) for key, part in value.items()}
    if isinstance(value, msgspec.Struct):
        changed = {field: _beside(folder, getattr(value, field)) for field in value.__struct_fields__}
        return msgspec.structs.replace(value, **changed)
    return value
