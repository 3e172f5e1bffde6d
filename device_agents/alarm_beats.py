"""Alarms on when beats come: pauses, rates, and rhythm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device_agents.alarm_condition import Condition, grown, of_kind
from device_agents.alarm_states import AlarmStates, BoolArray
from device_agents.vitals import SHORTEST_RR_S, IntervalRing, rates_per_minute
from device_agents.vitals_rhythm import INTERVALS, irregular_share
from edge_sdk.alarm_rules import AlarmRule, FastRule, IrregularRule, PauseRule, SlowRule
from edge_sdk.tensors import FloatArray, IntArray

# A longer one has been called a pause before it ends, whatever the rule says.
_LONGEST_RR_S = 7.0
# The rate to alarm by is that of the latest four: two of their three pairs are new three beats after a change.
_RATE_INTERVALS = 4
_RHYTHM_EVERY_S = 5.0


class Pauses(Condition):
    """Watches `PauseRule`.

    A beat in a bad signal may be one or none: it begins the wait anew, and ends no alarm. A short loss of signal
    interrupts the wait; after one as long as the wait itself, it begins anew.
    """

    def __init__(self, rules: Sequence[AlarmRule], states: AlarmStates, *, sample_rate_hz: float) -> None:
        self._rules = of_kind(rules, PauseRule)
        super().__init__(self._rules, states)
        self._rate_hz = sample_rate_hz
        self._after = [round(rule.after_s * sample_rate_hz) for _, rule in self._rules]
        self._from: IntArray = np.zeros((0, len(self._rules)), np.int64)
        self._again = self._from

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        self._from, self._again = grown(self._from, lanes), grown(self._again, lanes)

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""
        self._again[lanes] = 0
        for place in range(len(self._rules)):
            self._wait(place, lanes, np.zeros(len(lanes), np.int64))

    def regain(self, lanes: IntArray, indices: IntArray, lost: IntArray) -> None:
        """Wait on, or anew."""
        for place, after in enumerate(self._after):
            self._wait(place, lanes, np.where(lost < after, self._from[lanes, place] + lost, indices))

    def beat(self, lanes: IntArray, indices: IntArray, usable: BoolArray) -> None:
        """Take a beat of each of these lanes."""
        for place, (column, _) in enumerate(self._rules):
            active = self._states.is_active(column, lanes)
            self._wait(place, lanes[~active], indices[~active])
            if active.any():
                again = active & usable
                self._beat_again(place, lanes[again], indices[again])

    def _wait(self, place: int, lanes: IntArray, since: IntArray) -> None:
        column, rule = self._rules[place]
        self._from[lanes, place] = since
        self._states.measure(column, lanes, rule.after_s)
        self._states.waver(column, lanes)
        self._states.hold(column, lanes, since + self._after[place])

    def _beat_again(self, place: int, lanes: IntArray, indices: IntArray) -> None:
        column, rule = self._rules[place]
        apart, again = indices - self._from[lanes, place], self._again[lanes, place]
        first = again == 0
        self._states.measure(column, lanes[first], (apart[first] / self._rate_hz).astype(np.float32))
        again = np.where(first | (apart > self._after[place]), 1, again + 1)
        self._again[lanes, place], self._from[lanes, place] = again, indices
        over = again >= rule.end_beats
        lanes, indices = lanes[over], indices[over]
        self._again[lanes, place] = 0
        self._states.release(column, lanes, indices)
        self._states.pass_time(lanes, indices + 1)  # it ends, before the wait for the next begins
        self._wait(place, lanes, indices)


class Intervals(Condition):
    """Watches `FastRule`, `SlowRule` and `IrregularRule`.

    Only intervals between two beats in a good signal count; any other makes a gap.
    """

    def __init__(self, rules: Sequence[AlarmRule], states: AlarmStates, *, sample_rate_hz: float) -> None:
        self._fast, self._slow = of_kind(rules, FastRule), of_kind(rules, SlowRule)
        self._irregular = of_kind(rules, IrregularRule)
        super().__init__([*self._fast, *self._slow, *self._irregular], states)
        self._rate_hz = sample_rate_hz
        self._every = round(_RHYTHM_EVERY_S * sample_rate_hz)
        self._ring = IntervalRing(keep=INTERVALS if self._irregular else _RATE_INTERVALS)
        self._last: IntArray = np.zeros(0, np.int64)
        self._linked: BoolArray = np.zeros(0, np.bool_)
        self._next_rhythm: IntArray = np.zeros(0, np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        self._ring.resize(lanes)
        self._last, self._linked = grown(self._last, lanes), grown(self._linked, lanes)
        self._next_rhythm = grown(self._next_rhythm, lanes)

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""
        self._ring.clear(lanes)
        self._last[lanes], self._linked[lanes], self._next_rhythm[lanes] = 0, False, 0

    def lose(self, lanes: IntArray) -> None:
        """Forget the intervals."""
        super().lose(lanes)
        self._ring.clear(lanes)
        self._linked[lanes] = False

    def beat(self, lanes: IntArray, indices: IntArray, usable: BoolArray) -> None:
        """Take a beat of each of these lanes."""
        rr_s = ((indices - self._last[lanes]) / self._rate_hz).astype(np.float32)
        known = self._linked[lanes] & usable & (rr_s >= SHORTEST_RR_S) & (rr_s <= _LONGEST_RR_S)
        self._last[lanes], self._linked[lanes] = indices, usable
        if not known.all():
            gap = lanes[~known]
            self._ring.clear(gap)
            for column in self._columns:
                self._states.waver(column, gap)
            lanes, indices, rr_s = lanes[known], indices[known], rr_s[known]
        self._ring.push(lanes, rr_s)
        if self._fast or self._slow:
            self._judge_rates(lanes, indices, rates_per_minute(self._ring.latest(lanes, _RATE_INTERVALS)))
        if self._irregular:
            due = indices >= self._next_rhythm[lanes]
            self._judge_rhythms(lanes[due], indices[due])

    def _judge_rates(self, lanes: IntArray, indices: IntArray, rates: FloatArray) -> None:
        for column, fast in self._fast:
            begins, ends = rates > fast.begin_per_minute, rates < fast.end_per_minute
            self._states.measure(column, lanes, rates)
            self._judge(column, lanes, indices, begins=begins, ends=ends, delay=self._samples(fast.delay_s))
        for column, slow in self._slow:
            begins, ends = rates < slow.begin_per_minute, rates > slow.end_per_minute
            self._states.measure(column, lanes, rates)
            self._judge(column, lanes, indices, begins=begins, ends=ends, delay=self._samples(slow.delay_s))

    def _judge_rhythms(self, lanes: IntArray, indices: IntArray) -> None:
        self._next_rhythm[lanes] = indices + self._every
        share = irregular_share(self._ring.latest(lanes, INTERVALS))
        for column, rule in self._irregular:
            begins, ends = share > rule.begin_share, share < rule.end_share
            self._states.measure(column, lanes, share)
            self._judge(column, lanes, indices, begins=begins, ends=ends, delay=self._samples(rule.delay_s))

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate_hz)
