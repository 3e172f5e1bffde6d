"""MQTT topic names, version 1: ``edge/v1/{site}/{device}/{leaf}``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from edge_sdk.errors import ConfigError, MessageError

ROOT = "edge/v1"
LEAVES = ("observations", "alarm", "latest", "status", "ack", "desired", "reported")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class DeviceTopics:
    """The topics of one device.

    Args:
        site: Hospital or ward, a name of 1 to 64 letters, digits, ``.``, ``_`` or ``-``.
        device: Device, named likewise, unique within the site.

    Raises:
        ConfigError: A name that MQTT or a file name could misread.
    """

    site: str
    device: str

    def __post_init__(self) -> None:
        for what, name in (("site", self.site), ("device", self.device)):
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{what} name {name!r} cannot be part of an MQTT topic",
                    remedy="use 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit",
                )

    def _leaf(self, leaf: str) -> str:
        return f"{ROOT}/{self.site}/{self.device}/{leaf}"

    @property
    def observations(self) -> str:
        """Batches of observations, MessagePack, QoS 1."""
        return self._leaf("observations")

    @property
    def alarm(self) -> str:
        """Alarms, JSON, QoS 1, at once."""
        return self._leaf("alarm")

    def latest(self, code: str, stream: str = "") -> str:
        """Newest value of one code, JSON, retained, for dashboards of any make; of one stream where there are several.

        What MQTT could misread in the names is percent-encoded.
        """
        return self._leaf("/".join(["latest", *(quote(name, safe="") for name in (code, stream) if name)]))

    @property
    def status(self) -> str:
        """Device state, JSON, retained, also the last will."""
        return self._leaf("status")

    @property
    def ack(self) -> str:
        """What the hub has stored (hub to device)."""
        return self._leaf("ack")

    @property
    def desired(self) -> str:
        """Models the hospital wants here (hub to device), retained."""
        return self._leaf("desired")

    @property
    def reported(self) -> str:
        """Models that run here, retained."""
        return self._leaf("reported")


def every(leaf: str) -> str:
    """Return the subscription filter for one leaf of every device of every site."""
    return f"{ROOT}/+/+/{leaf}"


def parse(topic: str) -> tuple[DeviceTopics, str]:
    """Split a received topic into its device and its leaf (``latest/8867-4`` stays one leaf).

    Raises:
        MessageError: Not one of our topics.
    """
    parts = topic.split("/", 4)
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or not _is_leaf(parts[4]):  # noqa: PLR2004
        raise MessageError(f"topic {topic!r} is not {ROOT}/SITE/DEVICE/LEAF")
    try:
        return DeviceTopics(parts[2], parts[3]), parts[4]
    except ConfigError as error:
        raise MessageError(f"topic {topic!r} names no valid device") from error


def _is_leaf(leaf: str) -> bool:
    name, *rest = leaf.split("/")
    return name in LEAVES and len(rest) in ((1, 2) if name == "latest" else (0,)) and all(rest)
