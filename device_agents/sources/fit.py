"""Whether a recording is what a model reads: judged alike for every file format."""

from __future__ import annotations

from collections.abc import Sequence

from edge_sdk.errors import SignalError
from edge_sdk.signals import SignalFormat, SignalKind

LOWEST_RATE_HZ: dict[SignalKind, float] = {
    # Task Force of the ESC and NASPE 1996 (Heart rate variability): "in any case >= 100 Hz", and then interpolated.
    "ecg": 100.0,
    # Choi and Shin 2017 (Physiological Measurement 38): pulse rate variability from 25 Hz.
    "ppg": 25.0,
    # Antonsson and Mann 1985 (J. Biomechanics 18): 99 % of gait's energy is below 15 Hz.
    "accelerometer": 30.0,
}
"""Samples at uneven times are laid on the model's grid only if there are at least so many a second."""


def choose_channels(what: str, has: Sequence[str], *, wanted: SignalFormat, named: Sequence[str] = ()) -> list[str]:
    """Return the channels to read: all of an accelerometer's axes, otherwise the one that the model likes best.

    Args:
        what: The recording, for messages.
        has: Its channels.
        wanted: What the model reads.
        named: The channels that a person wants instead.

    Raises:
        SignalError: It lacks them.
    """
    every = wanted.kind == "accelerometer"
    for name in named:
        if name not in has:
            raise SignalError(
                f"{what} has no channel {name}; it has {', '.join(has)}", remedy="choose another channel or recording"
            )
    if named:
        needed = len(wanted.channels) if every else 1
        if len(named) != needed:
            raise SignalError(f"{len(named)} channels are named, and the model reads {needed}", remedy="name so many")
        return list(named)
    found = [name for name in wanted.channels if name in has]
    if not found or (every and len(found) != len(wanted.channels)):
        raise SignalError(
            f"{what} has the channels {', '.join(has)}, and the model reads {', '.join(wanted.channels)}",
            remedy="replay another record, or name a channel under [source] if you know that it fits",
        )
    return found if every else found[:1]


def check_rate(what: str, sample_rate_hz: float, *, wanted: SignalFormat, remedy: str) -> None:
    """Return if the recording has the model's sample rate.

    Raises:
        SignalError: It has not.
    """
    if sample_rate_hz != wanted.sample_rate_hz:
        raise SignalError(
            f"{what} has {sample_rate_hz:g} Hz, and the model reads {wanted.sample_rate_hz:g} Hz", remedy=remedy
        )


def check_unit(what: str, channel: str, unit: str, *, wanted: SignalFormat) -> None:
    """Return if a channel is in the model's unit.

    Raises:
        SignalError: It is not.
    """
    if unit != wanted.unit:
        raise SignalError(
            f"{what} has {channel} in {unit or 'no unit'}, and the model reads {wanted.unit}",
            remedy="replay a record in the model's unit",
        )
