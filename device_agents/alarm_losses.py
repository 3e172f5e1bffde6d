"""The technical alarm: the signal is lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device_agents.alarm_condition import Condition, grown, of_kind
from device_agents.alarm_states import AlarmStates, BoolArray
from edge_sdk.alarm_rules import AlarmRule, LostRule
from edge_sdk.tensors import IntArray


class Losses(Condition):
    """Knows where the signal is good, and watches `LostRule`.

    Short losses add up until the signal has stayed good for as long as the rule asks. Otherwise a signal that comes and
    goes would never be called lost, and never be good for long enough to tell an asystole.

    Attributes:
        good: Whether each lane's signal is good, shape (lanes,).
    """

    def __init__(self, rules: Sequence[AlarmRule], states: AlarmStates, *, sample_rate_hz: float) -> None:
        mine = of_kind(rules, LostRule)
        super().__init__(mine, states)
        self._rate_hz = sample_rate_hz
        self._limits = [
            (round(rule.after_s * sample_rate_hz), round(rule.end_after_s * sample_rate_hz)) for _, rule in mine
        ]
        self._others = [column for column in range(len(rules)) if column not in self._columns]
        self.good: BoolArray = np.zeros(0, np.bool_)
        self._since: IntArray = np.zeros(0, np.int64)
        self._lost_so_far: IntArray = np.zeros((0, len(mine)), np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        self.good, self._since = grown(self.good, lanes), grown(self._since, lanes)
        self._lost_so_far = grown(self._lost_so_far, lanes)

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""
        self.good[lanes], self._since[lanes], self._lost_so_far[lanes] = True, 0, 0

    def was_good(self, lanes: IntArray, indices: IntArray) -> BoolArray:
        """Return where the signal is good, and was so at these samples."""
        good: BoolArray = self.good[lanes] & (indices >= self._since[lanes])
        return good

    def lose_at(self, lanes: IntArray, indices: IntArray) -> None:
        """Take that the signal is bad from these samples on."""
        for place, (column, (after, end_after)) in enumerate(zip(self._columns, self._limits, strict=True)):
            afresh = indices - self._since[lanes] >= end_after
            self._lost_so_far[lanes[afresh], place] = 0
            self._states.measure(column, lanes, after / self._rate_hz)
            self._states.hold(column, lanes, indices + np.maximum(after - self._lost_so_far[lanes, place], 0))
        if not self._columns:  # nothing will take the other alarms' place
            for column in self._others:
                self._states.release(column, lanes, indices)
        self.good[lanes], self._since[lanes] = False, indices

    def lost_until(self, lanes: IntArray, indices: IntArray) -> IntArray:
        """Return for how many samples the signal has been bad."""
        lost: IntArray = indices - self._since[lanes]
        return lost

    def regain(self, lanes: IntArray, indices: IntArray, lost: IntArray) -> None:
        """Take that the signal is good from these samples on."""
        self._lost_so_far[lanes] += lost[:, np.newaxis]
        for column, (_, end_after) in zip(self._columns, self._limits, strict=True):
            self._states.measure(column, lanes, (lost / self._rate_hz).astype(np.float32))
            self._states.release(column, lanes, indices + end_after)
        self.good[lanes], self._since[lanes] = True, indices
