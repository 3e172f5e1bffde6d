"""How the machine is, from the kernel."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from device_agents.memory import resident_bytes

_THERMAL = Path("/sys/class/thermal")
# adjtimex(2): with no mode bits set it only reads; TIME_ERROR says that nothing disciplines the clock.
_TIMEX_BYTES, _TIME_ERROR = 256, 5


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the machine is.

    Attributes:
        resident_bytes: Memory that this process holds.
        cpu_s: Processor time that this process has used.
        temperature_c: Of the hottest thermal zone; ``None`` where there is none.
        clock_synchronized: Whether something sets the clock; ``None`` where the kernel does not say.
    """

    resident_bytes: int
    cpu_s: float
    temperature_c: float | None = None
    clock_synchronized: bool | None = None


def read_health() -> Health:
    """Return how the machine is now."""
    return Health(
        resident_bytes=resident_bytes(),
        cpu_s=time.process_time(),
        temperature_c=hottest_c(_THERMAL),
        clock_synchronized=clock_synchronized(),
    )


def hottest_c(folder: Path) -> float | None:
    """Return the temperature of the hottest of the thermal zones in a folder, degrees Celsius."""
    found = []
    for zone in folder.glob("thermal_zone*/temp"):
        with suppress(OSError, ValueError):  # a zone may be switched off
            found.append(int(zone.read_text()) / 1000)
    return max(found, default=None)


def clock_synchronized() -> bool | None:
    """Return whether something keeps the clock right; ``None`` where that cannot be known."""
    try:
        state = int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
