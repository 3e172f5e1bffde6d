"""What the conditions of alarm rules have in common: how each is told, and hysteresis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from device_agents.alarm_states import AlarmStates, BoolArray
from edge_sdk.alarm_rules import AlarmRule
from edge_sdk.tensors import IntArray

K = TypeVar("K")


class Condition:
    """Watches one kind of rule on many lanes. Lanes are different in each call, except where `turns` are told.

    Args:
        rules: Those of its kind, with their places among all.
        states: What it tells.
    """

    def __init__(self, rules: Sequence[tuple[int, AlarmRule]], states: AlarmStates) -> None:
        self._states = states
        self._columns = [column for column, _ in rules]

    def resize(self, lanes: int) -> None:
        """Make room for so many lanes; new ones must be reset."""

    def reset(self, lanes: IntArray) -> None:
        """Let these lanes begin a new stream, with a good signal."""

    def lose(self, lanes: IntArray) -> None:
        """Take that the signal was lost: what was about to begin does not."""
        for column in self._columns:
            self._states.waver(column, lanes)

    def regain(self, lanes: IntArray, indices: IntArray, lost: IntArray) -> None:
        """Take that the signal is good again from these samples on, after so many that were lost."""

    def _judge(
        self, column: int, lanes: IntArray, indices: IntArray, *, begins: BoolArray, ends: BoolArray, delay: int
    ) -> None:
        """Hold a rule where it is beyond the limit to begin, release it beyond the other, let it waver in between."""
        busy = begins | self._states.is_busy(column, lanes)
        if not busy.any():
            return
        lanes, indices, begins, ends = lanes[busy], indices[busy], begins[busy], ends[busy]
        self._states.waver(column, lanes[~(begins | ends)])
        self._states.release(column, lanes[ends], indices[ends])
        self._states.hold(column, lanes[begins], indices[begins] + delay)


def of_kind(rules: Sequence[AlarmRule], kind: type[K]) -> list[tuple[int, K]]:
    """Return the rules of one kind with their places."""
    return [(column, rule) for column, rule in enumerate(rules) if isinstance(rule, kind)]


def grown(rows: NDArray[Any], lanes: int) -> NDArray[Any]:
    """Return ``rows`` with rows of zeros added, so that there are as many as lanes."""
    return np.concatenate([rows, np.zeros((lanes - len(rows), *rows.shape[1:]), rows.dtype)])
