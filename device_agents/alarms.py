"""How alarms are told. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from device_agents.alarm_states import BEGIN, END, ESCALATE, PRIORITIES, AlarmEvents
from edge_sdk.alarm_rules import AlarmRule, FastRule, HighRule, IrregularRule, LowRule, RunRule, SlowRule
from edge_sdk.codes import PER_MINUTE, Code
from edge_sdk.contracts import OutputContract
from edge_sdk.observation import AlarmState, Priority, Quantity
from edge_sdk.tensors import IntArray

STATES: dict[int, Literal["begin", "escalate", "end"]] = {BEGIN: "begin", ESCALATE: "escalate", END: "end"}


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmFinding:
    """What an observation says of an event; the fields are those of `edge_sdk.observation.Observation`.

    Attributes:
        lane: Of which lane.
        index: At which sample.
    """

    lane: int
    index: int
    code: Code
    value: Quantity | None
    absent_reason: str
    priority: Priority
    alarm: AlarmState


def told(
    events: AlarmEvents,
    rules: Sequence[AlarmRule],
    *,
    models: Sequence[OutputContract],
    times_ns: Callable[[IntArray, IntArray], list[int]],
) -> Iterator[AlarmFinding]:
    """Say each event as an observation does.

    What begins or escalates is an alarm to be delivered first; what ends is not, so that a hub that knows no ends does
    not show one as a new alarm.

    Args:
        events: Of an `AlarmBank`.
        rules: That bank's.
        models: That bank's.
        times_ns: Returns the UTC times of samples of lanes, nanoseconds since 1970.
    """
    units = {quantity.name: quantity.unit for model in reversed(models) for quantity in model.quantities}
    since_ns = times_ns(events.lane, events.since)
    for at, lane in enumerate(events.lane.tolist()):
        rule, state, value = rules[events.rule[at]], STATES[int(events.state[at])], float(events.value[at])
        known = math.isfinite(value)
        yield AlarmFinding(
            lane=lane,
            index=int(events.index[at]),
            code=rule.coded,
            value=Quantity(round(value, 3), _unit(rule, units)) if known else None,
            absent_reason="" if known else "unknown",
            priority=Priority.ROUTINE if state == "end" else Priority.ALARM,
            alarm=AlarmState(
                rule=rule.name, state=state, priority=PRIORITIES[events.priority[at]], since_ns=since_ns[at]
            ),
        )


def _unit(rule: AlarmRule, units: dict[str, str]) -> str:
    if isinstance(rule, (LowRule, HighRule)):
        return units[rule.quantity]
    if isinstance(rule, RunRule):
        return "{beats}"
    if isinstance(rule, (FastRule, SlowRule)):
        return PER_MINUTE
    return "1" if isinstance(rule, IrregularRule) else "s"
