"""Streams written down as what happens in them, played to an `AlarmBank` hop by hop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from device_agents.alarm_bank import AlarmBank
from device_agents.alarm_states import PRIORITIES, AlarmEvents
from device_agents.alarms import STATES
from edge_sdk.alarm_rules import AlarmRule
from edge_sdk.codes import LOCAL, Code
from edge_sdk.contracts import Label, OutputContract, OutputQuantity

RATE_HZ = 100.0
HOP = 10
CODE = Code(LOCAL, "answer", "Answer")
BEAT_CLASSES = OutputContract(
    name="class", code=CODE, labels=(Label(name="N", display="normal"), Label(name="V", display="ventricular"))
)
SATURATION = OutputContract(
    name="spo2", code=CODE, quantities=(OutputQuantity(name="spo2", display="Oxygen saturation", unit="%"),)
)
MODELS = (BEAT_CLASSES, SATURATION)


@dataclass(frozen=True, kw_only=True)
class Script:
    """What happens in one stream; times are sample indices.

    Attributes:
        beats: When, the label's place, and whether it is usable.
        quality: From when on, and whether it is good.
        values: When, and how much.
        acknowledged: When, and which rule.
        begins: The hop in which the stream begins.
    """

    length: int
    beats: Sequence[tuple[int, int, bool]] = ()
    quality: Sequence[tuple[int, bool]] = ()
    values: Sequence[tuple[int, float]] = ()
    acknowledged: Sequence[tuple[int, int]] = ()
    begins: int = 0


@dataclass(frozen=True)
class Event:
    """One event in words; ``at_s`` since the stream began."""

    rule: str
    state: str
    at_s: float
    priority: str = field(compare=False)
    value: float = field(compare=False)
    since_s: float = field(compare=False)


def beats_every(interval_s: float, *, start_s: float, end_s: float, label: int = 0) -> list[tuple[int, int, bool]]:
    """Return steady beats."""
    times = np.arange(start_s, end_s - 1e-9, interval_s)
    return [(round(time * RATE_HZ), label, True) for time in times]


def at(time_s: float) -> int:
    """Return a time as a sample index."""
    return round(time_s * RATE_HZ)


def play(rules: Sequence[AlarmRule], *scripts: Script, hop: int = HOP) -> list[list[Event]]:
    """Return what happened in each stream, all of them played at once."""
    bank = AlarmBank(rules, models=MODELS, sample_rate_hz=RATE_HZ)
    bank.resize(len(scripts))
    lived: list[list[Event]] = [[] for _ in scripts]
    for turn in range(max(script.begins + -(-script.length // hop) for script in scripts)):
        running = [
            (lane, (turn - script.begins) * hop)
            for lane, script in enumerate(scripts)
            if 0 <= (turn - script.begins) * hop < script.length
        ]
        if running:
            _tell(bank, scripts, running, hop)
            lanes, begins = np.array(running, np.int64).T
            _note(bank.settle(lanes, begins + hop), rules, lived)
    _note(bank.finish(np.arange(len(scripts))), rules, lived)
    return lived


def _tell(bank: AlarmBank, scripts: Sequence[Script], running: Sequence[tuple[int, int]], hop: int) -> None:
    now = [(lane, scripts[lane], range(begin, begin + hop)) for lane, begin in running]
    quality = [(lane, *change) for lane, script, hops in now for change in script.quality if change[0] in hops]
    beats = [(lane, *beat) for lane, script, hops in now for beat in script.beats if beat[0] in hops]
    values = [(lane, *value) for lane, script, hops in now for value in script.values if value[0] in hops]
    lane, index, good = _columns(quality, 3)
    bank.quality(lane.astype(np.int64), index.astype(np.int64), good.astype(np.bool_))
    lane, index, label, usable = _columns(beats, 4)
    bank.beats(lane.astype(np.int64), index.astype(np.int64), usable.astype(np.bool_))
    bank.labels(lane.astype(np.int64), index.astype(np.int64), label.astype(np.int64), usable.astype(np.bool_))
    lane, index, value = _columns(values, 3)
    rows = value[:, np.newaxis].astype(np.float32)
    bank.values(lane.astype(np.int64), index.astype(np.int64), rows, np.isfinite(value), model=1)
    for lane_number, script, hops in now:
        for when, rule in script.acknowledged:
            if when in hops:
                bank.acknowledge(rule, np.array([lane_number]))


def _columns(rows: Sequence[tuple[float, ...]], width: int) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, width).T


def _note(events: AlarmEvents, rules: Sequence[AlarmRule], lived: list[list[Event]]) -> None:
    for place, lane in enumerate(events.lane.tolist()):
        lived[lane].append(
            Event(
                rule=rules[events.rule[place]].name,
                state=STATES[int(events.state[place])],
                at_s=int(events.index[place]) / RATE_HZ,
                priority=PRIORITIES[events.priority[place]].value,
                value=float(events.value[place]),
                since_s=int(events.since[place]) / RATE_HZ,
            )
        )
