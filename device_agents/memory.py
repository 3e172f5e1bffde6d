"""How much memory this process holds, from the kernel."""

from __future__ import annotations

from pathlib import Path


def resident_bytes(*, peak: bool = False) -> int:
    """Return the resident bytes now, or their peak since the program was started; 0 where there is no ``/proc``.

    `getrusage` would count the peak of the process that started us as our own.
    """
    field = "VmHWM:" if peak else "VmRSS:"
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)
