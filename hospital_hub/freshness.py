"""Whether a value may be shown as the present one. Pure: times come in, a word comes out."""

from __future__ import annotations

from typing import Literal

from edge_sdk.observation import ClockQuality

# A heart rate comes about every 5 s: two may be lost before a person must not rely on the number.
CURRENT_S = 15.0
# A true clock's time may differ from ours by this much, network included, before "now" becomes "a while ago".
BEHIND_S = 60.0
_TRUE_CLOCKS = (ClockQuality.SYNCHRONIZED.value, ClockQuality.CORRECTED.value)

State = Literal["live", "behind", "silent", "offline"]


def connection_state(
    *, now_ns: int, online: bool, received_at_ns: int, effective_time_ns: int | None, clock: str
) -> State:
    """Return how a device is doing.

    Args:
        now_ns: The present.
        online: What the device, or its last will, said.
        received_at_ns: When anything came last; a replayed record's own times say nothing about that.
        effective_time_ns: The newest time that anything is about.
        clock: `ClockQuality` of that time.

    Returns:
        ``offline``; ``silent``: nothing comes; ``behind``: what comes is of long ago; ``live``.
    """
    if not online:
        return "offline"
    if _elapsed_s(now_ns, received_at_ns) > CURRENT_S:
        return "silent"
    if effective_time_ns is not None and clock in _TRUE_CLOCKS and _elapsed_s(now_ns, effective_time_ns) > BEHIND_S:
        return "behind"
    return "live"


def is_current(*, now_ns: int, received_at_ns: int, effective_time_ns: int, newest_ns: int) -> bool:
    """Return whether one value of a live device is its present one.

    A heart rate ends with the signal while complaints about the signal go on, so each value is judged by itself: when
    it came, and how far it is behind the newest thing the device said (``newest_ns``).
    """
    return _elapsed_s(now_ns, received_at_ns) <= CURRENT_S and _elapsed_s(newest_ns, effective_time_ns) <= CURRENT_S


def _elapsed_s(later_ns: int, earlier_ns: int) -> float:
    return (later_ns - earlier_ns) / 1e9
