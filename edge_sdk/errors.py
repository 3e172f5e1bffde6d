"""Errors, in two families by whose fault they are.

`InvalidInput`: what we were given is wrong, so trying again cannot help.
`Unavailable`: something could not be reached, so trying again (with full jitter) can.

Foreign exceptions are translated into these once, at the boundary, with ``raise … from``.
"""

from __future__ import annotations


class EdgeError(Exception):
    """Base of every error the SDK raises on purpose.

    Args:
        problem: What is wrong and where, in one line.
        remedy: What the reader should do next.
    """

    exit_code = 1

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}: {remedy}" if remedy else problem)


class InvalidInput(EdgeError):
    """What we were given is wrong. Do not retry."""

    exit_code = 2


class ConfigError(InvalidInput):
    """A configuration file or option that a person typed is wrong."""


class ProfileError(InvalidInput):
    """A hardware profile is missing, incomplete or malformed."""


class SignalError(InvalidInput):
    """A recording or a stream does not fit what the model's input contract asks for."""


class ManifestError(InvalidInput):
    """A bundle's manifest cannot be understood."""


class UntrustedBundle(InvalidInput):
    """A bundle is unsigned, signed by a stranger, truncated or altered."""


class IncompatibleBundle(InvalidInput):
    """A genuine bundle that this machine cannot run."""


class ConversionError(InvalidInput):
    """A model could not be converted; the message names the step."""


class VerificationError(InvalidInput):
    """A converted model is outside its accuracy budget."""


class MessageError(InvalidInput):
    """A message from the network cannot be understood."""


class Unavailable(EdgeError):
    """Something could not be reached. Retry with full jitter."""

    exit_code = 3


class BrokerUnavailable(Unavailable):
    """The MQTT broker does not answer or refuses us."""


class StorageUnavailable(Unavailable):
    """A database or a disk cannot be read or written now."""


class AddressInUse(Unavailable):
    """A port or socket that we must listen on is taken."""


class MissingDependency(EdgeError):
    """An optional part of the SDK, or a vendor's library, is not installed."""

    exit_code = 4
