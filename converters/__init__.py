"""The workstation: from a trained model to a verified, signed bundle."""

from converters.api import convert
from converters.jobs import Conversion, SealedBundle, Trial

__all__ = ["Conversion", "SealedBundle", "Trial", "convert"]
