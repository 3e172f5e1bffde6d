from __future__ import annotations

import pytest

from edge_sdk.observation import ClockQuality
from hospital_hub.dashboard import newer
from hospital_hub.freshness import BEHIND_S, CURRENT_S, State, connection_state, is_current

NOW_NS = 1_700_000_000 * 10**9
SYNCHRONIZED = ClockQuality.SYNCHRONIZED.value


def ago(seconds: float) -> int:
    return NOW_NS - round(seconds * 1e9)


@pytest.mark.parametrize(
    ("online", "received_s_ago", "about_s_ago", "clock", "expected"),
    [
        (True, 1, 1, SYNCHRONIZED, "live"),
        (False, 1, 1, SYNCHRONIZED, "offline"),
        (True, CURRENT_S + 1, 1, SYNCHRONIZED, "silent"),
        (True, 1, BEHIND_S + 1, SYNCHRONIZED, "behind"),
        (True, 1, 1e8, ClockQuality.REPLAYED.value, "live"),
        (True, 1, 1e8, ClockQuality.UNSYNCHRONIZED.value, "live"),
    ],
)
def test_how_a_device_is_doing(
    *, online: bool, received_s_ago: float, about_s_ago: float, clock: str, expected: State
) -> None:
    state = connection_state(
        now_ns=NOW_NS,
        online=online,
        received_at_ns=ago(received_s_ago),
        effective_time_ns=ago(about_s_ago),
        clock=clock,
    )

    assert state == expected


def test_a_device_that_has_sent_nothing_is_silent() -> None:
    state = connection_state(now_ns=NOW_NS, online=True, received_at_ns=0, effective_time_ns=None, clock="")

    assert state == "silent"


@pytest.mark.parametrize(
    ("received_s_ago", "behind_newest_s", "expected"),
    [(1, 0, True), (CURRENT_S + 1, 0, False), (1, CURRENT_S + 1, False)],
)
def test_a_value_is_current_only_while_something_confirms_it(
    *, received_s_ago: float, behind_newest_s: float, expected: bool
) -> None:
    current = is_current(
        now_ns=NOW_NS,
        received_at_ns=ago(received_s_ago),
        effective_time_ns=ago(behind_newest_s),
        newest_ns=NOW_NS,
    )

    assert current is expected


def test_a_recording_replayed_again_is_the_present() -> None:
    first = {"received_at_ns": ago(600), "effective_time_ns": ago(0)}
    again = {"received_at_ns": ago(1), "effective_time_ns": ago(1000)}

    assert newer(first, again, None, now_ns=NOW_NS) == again
    assert newer(first, {**again, "received_at_ns": ago(300)}, now_ns=NOW_NS) == first
