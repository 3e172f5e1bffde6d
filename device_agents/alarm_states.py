"""Which alarms are on, of many streams at once: delays, latching, escalation, suppression. Pure: time is in samples.

Every alarm is one cell of arrays with a row per lane and a column per rule. What will happen by itself has a due index;
a lane costs something only when one of its dues has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from edge_sdk.alarm_rules import AlarmPriority, AlarmRule, LostRule
from edge_sdk.tensors import FloatArray, IntArray

BEGIN, ESCALATE, END = range(3)
NEVER = np.iinfo(np.int64).max
PRIORITIES = (AlarmPriority.LOW, AlarmPriority.MEDIUM, AlarmPriority.HIGH)

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmEvents:
    """What happened to alarms, in the order of time for each lane and rule.

    Attributes:
        lane: The lane.
        rule: Which of the bank's rules.
        state: `BEGIN`, `ESCALATE` or `END`.
        priority: Place in `PRIORITIES`.
        index: Sample index at which it happened.
        since: Sample index at which the alarm began.
        value: What the rule measured; NaN where it measured nothing.
    """

    lane: IntArray
    rule: IntArray
    state: IntArray
    priority: IntArray
    index: IntArray
    since: IntArray
    value: FloatArray

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.lane)

    @classmethod
    def none(cls) -> AlarmEvents:
        """Return no events."""
        none: IntArray = np.empty(0, np.int64)
        return cls(
            lane=none, rule=none, state=none, priority=none, index=none, since=none, value=np.empty(0, np.float32)
        )


_COLUMNS = tuple(field.name for field in fields(AlarmEvents))


class AlarmStates:
    """What holds, what is on, and what is due, of each lane and rule.

    Conditions say `hold`, `waver` or `release`; `pass_time` makes alarms of what has held for long enough.

    Args:
        rules: One column each.
        sample_rate_hz: Of every lane.
    """

    def __init__(self, rules: Sequence[AlarmRule], *, sample_rate_hz: float) -> None:
        self._rules = tuple(rules)
        self._base = [PRIORITIES.index(rule.priority) for rule in rules]
        self._latching = np.array([rule.latching for rule in rules], np.bool_)
        self._escalate_after = [round(rule.escalate_after_s * sample_rate_hz) for rule in rules]
        # A technical alarm takes the place of every other.
        self._suppressed = [[at for at, other in enumerate(rules) if _suppresses(rule, other)] for rule in rules]
        self._by: list[IntArray] = [
            np.flatnonzero([_suppresses(other, rule) for other in rules]).astype(np.int64) for rule in rules
        ]
        width = len(rules)
        self._on: BoolArray = np.zeros((0, width), np.bool_)
        self._holds, self._over, self._acknowledged = self._on.copy(), self._on.copy(), self._on.copy()
        self._priority: IntArray = np.zeros((0, width), np.int64)
        self._since = self._priority.copy()
        self._due: IntArray = np.zeros((0, 3 * width), np.int64)
        self._next: IntArray = np.zeros(0, np.int64)
        self._value: FloatArray = np.zeros((0, width), np.float32)
        self._found: list[AlarmEvents] = []

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; new ones are fresh."""
        before, more = len(self._on), lanes - len(self._on)
        for name in ("_on", "_holds", "_over", "_acknowledged", "_priority", "_since", "_due", "_next", "_value"):
            rows = getattr(self, name)
            setattr(self, name, np.concatenate([rows, np.zeros((more, *rows.shape[1:]), rows.dtype)]))
        self.reset(np.arange(before, lanes))

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin anew, without any alarm and without a word about those that were on."""
        for flags in (self._on, self._holds, self._over, self._acknowledged):
            flags[lanes] = False
        self._due[lanes], self._next[lanes], self._value[lanes] = NEVER, NEVER, np.nan

    def is_active(self, rule: int, lanes: IntArray) -> BoolArray:
        """Return where an alarm is on and its cause is there, shape (k,)."""
        active: BoolArray = self._on[lanes, rule] & ~self._over[lanes, rule]
        return active

    def is_busy(self, rule: int, lanes: IntArray) -> BoolArray:
        """Return where an alarm is on or its condition holds, shape (k,)."""
        busy: BoolArray = self._on[lanes, rule] | self._holds[lanes, rule]
        return busy

    def measure(self, rule: int, lanes: IntArray, value: FloatArray | float) -> None:
        """Note what a rule measured."""
        self._value[lanes, rule] = value

    def hold(self, rule: int, lanes: IntArray, due: IntArray) -> None:
        """Say that a rule's condition holds on these different lanes: it alarms at ``due`` if it still does."""
        self._set_due(END, rule, lanes, NEVER)
        waiting = ~self._holds[lanes, rule] & ~self.is_active(rule, lanes)
        self._holds[lanes, rule] = True
        self._set_due(BEGIN, rule, lanes[waiting], due[waiting])

    def waver(self, rule: int, lanes: IntArray) -> None:
        """Say that a condition does not hold, and that this ends no alarm."""
        self._holds[lanes, rule] = False
        self._set_due(BEGIN, rule, lanes, NEVER)

    def release(self, rule: int, lanes: IntArray, due: IntArray) -> None:
        """Say that a condition is gone: an alarm that is on ends at ``due``."""
        self.waver(rule, lanes)
        ending = self.is_active(rule, lanes)
        self._set_due(END, rule, lanes[ending], due[ending])

    def acknowledge(self, rule: int, lanes: IntArray, index: IntArray) -> None:
        """Note that somebody has seen an alarm: it escalates no more, and ends if its cause is gone."""
        on = self._on[lanes, rule]
        lanes, index = lanes[on], index[on]
        self._acknowledged[lanes, rule] = True
        self._set_due(ESCALATE, rule, lanes, NEVER)
        over = self._over[lanes, rule]
        self._set_due(END, rule, lanes[over], index[over])

    def pass_time(self, lanes: IntArray, until: IntArray) -> None:
        """Let happen what is due before ``until`` on these different lanes, in the order of time."""
        late = self._next[lanes] < until
        while late.any():
            lanes, until = lanes[late], until[late]
            due = self._due[lanes]
            self._next[lanes] = first = due.min(axis=1)
            late = first < until
            if late.any():
                self._happen(lanes[late], due[late])

    def end_all(self, lanes: IntArray, index: IntArray) -> None:
        """End every alarm of these different lanes: their streams are over."""
        for rule in range(len(self._rules)):
            on = self._on[lanes, rule]
            self._say(END, rule, lanes[on], index[on])
        self.reset(lanes)

    def take(self) -> AlarmEvents:
        """Return what happened since the last call."""
        found, self._found = self._found, []
        if not found:
            return AlarmEvents.none()
        return AlarmEvents(**{name: np.concatenate([getattr(some, name) for some in found]) for name in _COLUMNS})

    def _happen(self, lanes: IntArray, due: IntArray) -> None:
        columns = due.argmin(axis=1)
        for column in np.unique(columns).tolist():
            of = columns == column
            kind, rule = divmod(column, len(self._rules))
            self._due[lanes[of], column] = NEVER
            (self._begin, self._escalate, self._end)[kind](rule, lanes[of], due[of, column])

    def _set_due(self, kind: int, rule: int, lanes: IntArray, due: IntArray | int) -> None:
        self._due[lanes, kind * len(self._rules) + rule] = due
        self._next[lanes] = np.minimum(self._next[lanes], due)

    def _begin(self, rule: int, lanes: IntArray, index: IntArray) -> None:
        self._over[lanes, rule] = False  # where it still waits for somebody, it goes on
        free = ~self._on[lanes, rule] & ~self._on[np.ix_(lanes, self._by[rule])].any(axis=1)
        lanes, index = lanes[free], index[free]
        self._on[lanes, rule], self._acknowledged[lanes, rule] = True, False
        self._priority[lanes, rule], self._since[lanes, rule] = self._base[rule], index
        self._say(BEGIN, rule, lanes, index)
        self._escalate_next(rule, lanes, index)
        for other in self._suppressed[rule]:
            on = self._on[lanes, other] & ~self._latching[other]
            self._stop(other, lanes[on], index[on])

    def _escalate(self, rule: int, lanes: IntArray, index: IntArray) -> None:
        self._priority[lanes, rule] += 1
        self._say(ESCALATE, rule, lanes, index)
        self._escalate_next(rule, lanes, index)

    def _escalate_next(self, rule: int, lanes: IntArray, index: IntArray) -> None:
        if self._escalate_after[rule]:
            higher = self._priority[lanes, rule] < len(PRIORITIES) - 1
            self._set_due(ESCALATE, rule, lanes[higher], index[higher] + self._escalate_after[rule])

    def _end(self, rule: int, lanes: IntArray, index: IntArray) -> None:
        if self._latching[rule]:
            seen = self._acknowledged[lanes, rule]
            self._over[lanes[~seen], rule] = True
            lanes, index = lanes[seen], index[seen]
        self._stop(rule, lanes, index)

    def _stop(self, rule: int, lanes: IntArray, index: IntArray) -> None:
        self._on[lanes, rule] = self._over[lanes, rule] = False
        self._set_due(ESCALATE, rule, lanes, NEVER)
        self._set_due(END, rule, lanes, NEVER)
        self._say(END, rule, lanes, index)
        for other in self._suppressed[rule]:  # what has held all the time begins now
            waiting = self._holds[lanes, other] & (self._due[lanes, other] == NEVER) & ~self._on[lanes, other]
            self._set_due(BEGIN, other, lanes[waiting], index[waiting])

    def _say(self, state: int, rule: int, lanes: IntArray, index: IntArray) -> None:
        if len(lanes):
            self._found.append(
                AlarmEvents(
                    lane=lanes,
                    rule=np.full(len(lanes), rule),
                    state=np.full(len(lanes), state),
                    priority=self._priority[lanes, rule],
                    index=index,
                    since=self._since[lanes, rule],
                    value=self._value[lanes, rule],
                )
            )


def _suppresses(rule: AlarmRule, other: AlarmRule) -> bool:
    return other.name in rule.suppresses or (isinstance(rule, LostRule) and not isinstance(other, LostRule))
