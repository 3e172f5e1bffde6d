"""Watches many streams at once for what their alarm rules say. Pure: time comes in as sample indices.

In each step a caller tells what it knows, in this order, and then takes what follows from it::

    bank.quality(...)  # signal lost, or back
    bank.beats(...)  # heartbeats found
    bank.labels(...)  # heartbeats classified
    bank.values(...)  # quantities estimated
    events = bank.settle(lanes, until)

Only lanes with something to tell, or with something due, cost anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device_agents.alarm_answers import Quantities, Runs
from device_agents.alarm_beats import Intervals, Pauses
from device_agents.alarm_condition import Condition
from device_agents.alarm_losses import Losses
from device_agents.alarm_states import AlarmEvents, AlarmStates, BoolArray
from device_agents.vitals import turns
from edge_sdk.alarm_rules import AlarmRule
from edge_sdk.contracts import OutputContract
from edge_sdk.tensors import FloatArray, IntArray


class AlarmBank:
    """Alarms of streams that the same rules watch.

    Args:
        rules: As `edge_sdk.alarm_standard.rules_in_force` gives them.
        models: What the answers of the models that read the lanes mean. A rule watches the first that has its label
            or its quantity.
        sample_rate_hz: Of every lane.

    Attributes:
        rules: The rules; events name one by its place.
    """

    def __init__(
        self,
        rules: Sequence[AlarmRule],
        *,
        models: Sequence[OutputContract],
        sample_rate_hz: float,
    ) -> None:
        self.rules = tuple(rules)
        self._states = states = AlarmStates(rules, sample_rate_hz=sample_rate_hz)
        self._losses = Losses(self.rules, states, sample_rate_hz=sample_rate_hz)
        self._beats = (
            Pauses(self.rules, states, sample_rate_hz=sample_rate_hz),
            Intervals(self.rules, states, sample_rate_hz=sample_rate_hz),
        )
        self._runs = Runs(self.rules, states, models=models)
        self._quantities = Quantities(self.rules, states, models=models, sample_rate_hz=sample_rate_hz)
        self._physiologic: tuple[Condition, ...] = (*self._beats, self._runs, self._quantities)
        self._time: IntArray = np.zeros(0, np.int64)

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; new ones are fresh, with a good signal."""
        before = len(self._time)
        self._states.resize(lanes)
        for condition in (self._losses, *self._physiologic):
            condition.resize(lanes)
        self._time = np.concatenate([self._time, np.zeros(lanes - before, np.int64)])
        self.reset(np.arange(before, lanes))

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream, at sample 0, with a good signal."""
        self._states.reset(lanes)
        for condition in (self._losses, *self._physiologic):
            condition.reset(lanes)
        self._time[lanes] = 0

    def quality(self, lanes: IntArray, indices: IntArray, good: BoolArray) -> None:
        """Take where the signal was lost, and where it came back.

        Args:
            lanes: Shape (k,), in any order; what is of one lane is in the order of time. So below.
            indices: From which sample on.
            good: Whether the signal is good from there on.
        """
        for turn in turns(lanes):
            changed = turn[self._losses.good[lanes[turn]] != good[turn]]
            self._states.pass_time(lanes[changed], indices[changed])
            self._lose(lanes[lost := changed[~good[changed]]], indices[lost])
            self._regain(lanes[back := changed[good[changed]]], indices[back])

    def beats(self, lanes: IntArray, indices: IntArray, usable: BoolArray) -> None:
        """Take heartbeats.

        Args:
            lanes: Shape (k,).
            indices: R peaks, increasing within a lane.
            usable: Whether the signal around each is good enough to believe in it.
        """
        for turn in turns(lanes):
            lane, index = lanes[turn], indices[turn]
            self._states.pass_time(lane, index)
            known = self._losses.was_good(lane, index)
            lane, index, good = lane[known], index[known], usable[turn][known]
            for condition in self._beats:
                condition.beat(lane, index, good)

    def labels(  # what is known of a label
        self, lanes: IntArray, indices: IntArray, labels: IntArray, usable: BoolArray, *, model: int = 0
    ) -> None:
        """Take the labels that a model gives heartbeats, which may come later than the beats.

        Args:
            lanes: Shape (k,).
            indices: R peaks, increasing within a lane.
            labels: Place of each beat's label among the model's; what it is where the beat is not usable is ignored.
            usable: Whether the beat was classified.
            model: Place of the model.
        """
        for turn in turns(lanes):
            lane, index = lanes[turn], indices[turn]
            self._states.pass_time(lane, index)
            known = usable[turn] & self._losses.was_good(lane, index)
            self._runs.label(lane, index, labels[turn], known, model=model)

    def values(  # what is known of an estimate
        self, lanes: IntArray, indices: IntArray, values: FloatArray, usable: BoolArray, *, model: int = 0
    ) -> None:
        """Take a model's estimates of its quantities.

        Args:
            lanes: Shape (k,).
            indices: Where each is anchored, increasing within a lane.
            values: Shape (k, quantities), in their units.
            usable: Whether the signal was good enough for an estimate.
            model: Place of the model.
        """
        for turn in turns(lanes):
            lane, index = lanes[turn], indices[turn]
            self._states.pass_time(lane, index)
            known = usable[turn] & self._losses.was_good(lane, index)
            self._quantities.estimate(lane, index, values[turn], known, model=model)

    def settle(self, lanes: IntArray, until: IntArray) -> AlarmEvents:
        """Return what happened, now that everything before ``until`` has been told of these different lanes."""
        self._states.pass_time(lanes, until)
        self._time[lanes] = until
        return self._states.take()

    def acknowledge(self, rule: int, lanes: IntArray) -> None:
        """Note that somebody has seen an alarm on these different lanes."""
        self._states.acknowledge(rule, lanes, self._time[lanes])

    def finish(self, lanes: IntArray) -> AlarmEvents:
        """End what is on: these streams are over."""
        self._states.end_all(lanes, self._time[lanes])
        return self._states.take()

    def _lose(self, lanes: IntArray, indices: IntArray) -> None:
        for condition in self._physiologic:
            condition.lose(lanes)
        self._losses.lose_at(lanes, indices)

    def _regain(self, lanes: IntArray, indices: IntArray) -> None:
        lost = self._losses.lost_until(lanes, indices)
        for condition in (*self._physiologic, self._losses):
            condition.regain(lanes, indices, lost)
