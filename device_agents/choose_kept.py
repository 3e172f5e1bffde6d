"""Choices kept from one start to the next, so that only the first start of a model takes the time to measure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from device_agents.choose import Choice
from edge_sdk.errors import StorageUnavailable
from edge_sdk.files import sha256_hex, write_atomic

_KEPT = 16
_SHORT = 16
_log = logging.getLogger(__name__)


class ChoiceKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a choice is good for, and for nothing else.

    Attributes:
        bundle_sha256: The model.
        runtime: Library and version.
        machine: See `device_agents.choose.machine`.
        tried: What there was to choose from.
    """

    bundle_sha256: str
    runtime: str
    machine: str
    tried: str


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    key: ChoiceKey
    choice: Choice


class KeptChoices:
    """Choices in a folder of the agent's own, a JSON file each.

    Args:
        folder: Made when the first is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: ChoiceKey, make: Callable[[], Choice]) -> Choice:
        """Return the choice for exactly this key; where there is none, make it and keep it."""
        path = self._folder / f"{sha256_hex(msgspec.json.encode(key))[:_SHORT]}.json"
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
            if kept.key == key:
                return kept.choice
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            pass
        choice = make()
        self._put(path, _Kept(key=key, choice=choice))
        return choice

    def _put(self, path: Path, kept: _Kept) -> None:
        try:
            write_atomic(path, msgspec.json.encode(kept), mode=0o600)
            newest_first = sorted(self._folder.glob("*.json"), key=lambda other: other.stat().st_mtime_ns, reverse=True)
            for other in newest_first[_KEPT:]:
                other.unlink(missing_ok=True)
        except (OSError, StorageUnavailable) as error:  # it only costs the next start
            _log.warning("how the model runs fastest cannot be kept: %s", error)
