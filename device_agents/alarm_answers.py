"""Alarms on what the model answers: runs of a label, and quantities beyond a limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device_agents.alarm_condition import Condition, grown, of_kind
from device_agents.alarm_states import AlarmStates, BoolArray
from edge_sdk.alarm_rules import AlarmRule, HighRule, LowRule, RunRule
from edge_sdk.contracts import OutputContract
from edge_sdk.tensors import FloatArray, IntArray


class Runs(Condition):
    """Watches `RunRule`.

    A beat without a label is no beat of the run and no other: beats around it are not in a row, and it ends no alarm.
    """

    def __init__(self, rules: Sequence[AlarmRule], states: AlarmStates, *, models: Sequence[OutputContract]) -> None:
        self._rules = of_kind(rules, RunRule)
        super().__init__(self._rules, states)
        names = [[label.name for label in model.labels] for model in models]
        self._watched = [_place(names, rule.label) for _, rule in self._rules]
        self._in_a_row: IntArray = np.zeros((0, len(self._rules)), np.int64)
        self._others = self._in_a_row

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes."""
        self._in_a_row, self._others = grown(self._in_a_row, lanes), grown(self._others, lanes)

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream."""
        self._in_a_row[lanes] = self._others[lanes] = 0

    def lose(self, lanes: IntArray) -> None:
        """Count anew."""
        super().lose(lanes)
        self.reset(lanes)

    def label(  # what is known of a label
        self, lanes: IntArray, indices: IntArray, labels: IntArray, usable: BoolArray, *, model: int
    ) -> None:
        """Take a model's label of a beat of each of these lanes; one that is not usable is unknown."""
        for place, ((column, rule), (watched, label)) in enumerate(zip(self._rules, self._watched, strict=True)):
            if watched != model:
                continue
            mine, other = usable & (labels == label), usable & (labels != label)
            in_a_row = np.where(mine, self._in_a_row[lanes, place] + 1, 0)
            others = np.where(mine, 0, self._others[lanes, place] + other)
            self._in_a_row[lanes, place], self._others[lanes, place] = in_a_row, others
            begins, ends = in_a_row >= rule.beats, others >= rule.end_beats
            self._states.measure(column, lanes[begins], in_a_row[begins].astype(np.float32))
            self._judge(column, lanes, indices, begins=begins, ends=ends, delay=0)


class Quantities(Condition):
    """Watches `LowRule` and `HighRule`."""

    def __init__(
        self,
        rules: Sequence[AlarmRule],
        states: AlarmStates,
        *,
        models: Sequence[OutputContract],
        sample_rate_hz: float,
    ) -> None:
        low, high = of_kind(rules, LowRule), of_kind(rules, HighRule)
        super().__init__([*low, *high], states)
        names = [[quantity.name for quantity in model.quantities] for model in models]
        # What is too high is too low when both it and its limits are turned around.
        self._rules = [
            (column, *_place(names, rule.quantity), sign, sign * rule.begin, sign * rule.end, rule.delay_s)
            for sign, side in ((1.0, low), (-1.0, high))
            for column, rule in side
        ]
        self._rate_hz = sample_rate_hz

    def estimate(  # what is known of an estimate
        self, lanes: IntArray, indices: IntArray, values: FloatArray, usable: BoolArray, *, model: int
    ) -> None:
        """Take a model's estimates, (k, quantities); one that is not usable neither begins nor ends an alarm."""
        for column, watched, place, sign, begin, end, delay_s in self._rules:
            if watched != model:
                continue
            value = values[:, place]
            known = usable & np.isfinite(value)
            begins, ends = known & (sign * value < begin), known & (sign * value > end)
            self._states.measure(column, lanes[known], value[known])
            self._judge(column, lanes, indices, begins=begins, ends=ends, delay=round(delay_s * self._rate_hz))


def _place(names: Sequence[Sequence[str]], name: str) -> tuple[int, int]:
    """Return which model has a name first, and where."""
    return next((model, list(own).index(name)) for model, own in enumerate(names) if name in own)
