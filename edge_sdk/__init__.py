"""The language every machine agrees on: contracts, and the signal maths that devices and workstations share."""

from edge_sdk._version import __version__
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
