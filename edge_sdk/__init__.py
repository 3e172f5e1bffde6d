"""The language every machine agrees on: contracts, and the signal maths that devices and workstations share."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edge_sdk._version import __version__

if TYPE_CHECKING:
    from edge_sdk.bundle import Bundle, open_bundle
    from edge_sdk.errors import EdgeError, InvalidInput, Unavailable
    from edge_sdk.observation import Observation
    from edge_sdk.profiles import HardwareProfile, load_profile, profile_slugs

__all__ = [
    "Bundle",
    "EdgeError",
    "HardwareProfile",
    "InvalidInput",
    "Observation",
    "Unavailable",
    "__version__",
    "load_profile",
    "open_bundle",
    "profile_slugs",
]
_HOMES = {
    "bundle": ("Bundle", "open_bundle"),
    "errors": ("EdgeError", "InvalidInput", "Unavailable"),
    "observation": ("Observation",),
    "profiles": ("HardwareProfile", "load_profile", "profile_slugs"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a device must not hold in memory what it never needs."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"edge_sdk.{home}"), name)
    raise AttributeError(f"module 'edge_sdk' has no attribute {name!r}")
