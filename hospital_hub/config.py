"""The hub's configuration: a TOML file, options, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge_sdk.settings import load_toml


class HubConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a hub can be told.

    Attributes:
        listen: Web address.
        database: SQLAlchemy URL.
        broker: ``embedded``, or an external one's ``mqtt://host:port``.
        broker_listen: Where the embedded broker listens.
    """

    listen: str = "127.0.0.1:8080"
    database: str = "sqlite:///hub.db"
    broker: str = "embedded"
    broker_listen: str = "127.0.0.1:1883"


def load_config(path: Path) -> HubConfig:
    """Read a configuration file.

    Raises:
        ConfigError: Missing, not TOML, or with a wrong key or value.
    """
    return load_toml(path, HubConfig, what="hub configuration")


def with_options(config: HubConfig, options: Mapping[str, str | None]) -> HubConfig:
    """Return the configuration with the options that were given in place of the file's values."""
    return msgspec.structs.replace(config, **{name: value for name, value in options.items() if value is not None})
