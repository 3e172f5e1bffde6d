"""What a person configures, strictly read: a wrong key is refused with the nearest name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from edge_sdk.errors import ConfigError
from edge_sdk.files import read_bytes
from edge_sdk.profiles import load_profile
from edge_sdk.settings import load_toml
from edge_sdk.topics import DeviceTopics

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class ReplayConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="replay"
):
    """A recording.

    Attributes:
        record: WFDB record, without extension.
        channel: Channel to use; empty for the one that the model prefers.
        speed: Seconds of signal per second; 0 for as fast as it goes.
        block_s: Seconds of signal per block.
    """

    record: Path
    channel: str = ""
    speed: float = 1.0
    block_s: float = 0.5

    def __post_init__(self) -> None:
        if self.speed < 0 or not 0 < self.block_s <= 60:  # noqa: PLR2004
            raise ValueError("speed must be 0 or more, and block_s more than 0 and at most 60")


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


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about one gateway.

    Attributes:
        site: Hospital or ward, as in the MQTT topics.
        device: This gateway, unique within the site.
        subject: Pseudonym of the patient.
        hardware: Slug of its hardware profile.
        state_dir: Folder of its own, where the outbox lives.
        bundle: The model.
        trusted_keys: Public keys whose bundles may run here.
        source: Where samples come from, unless a program gives them to `open_gateway`.
        stream: Name of the stream.
    """

    site: str
    device: str
    subject: str
    hardware: str
    state_dir: Path
    bundle: Path
    trusted_keys: tuple[Path, ...]
    broker: BrokerConfig
    source: ReplayConfig | None = None
    stream: str = "ecg"
    outbox: OutboxConfig = OutboxConfig()
    runtime: RuntimeConfig = RuntimeConfig()

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
    config = _beside(folder, config)
    for file, what in (
        (config.broker.password_file, "password file"),
        (config.broker.ca_file, "certificate authority"),
    ):
        if file:
            read_bytes(file, what=what)  # a slip is told before anything is made
    return config


def _beside(folder: Path, config: AgentConfig) -> AgentConfig:
    return msgspec.structs.replace(
        config,
        state_dir=folder / config.state_dir,
        bundle=folder / config.bundle,
        trusted_keys=tuple(folder / key for key in config.trusted_keys),
        source=msgspec.structs.replace(config.source, record=folder / config.source.record) if config.source else None,
        broker=msgspec.structs.replace(
            config.broker,
            ca_file=folder / config.broker.ca_file if config.broker.ca_file else None,
            password_file=folder / config.broker.password_file if config.broker.password_file else None,
        ),
    )
