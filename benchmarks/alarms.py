"""What alarms, heart rate and measures of rhythm cost for many streams: ``python benchmarks/alarms.py [STREAMS]``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from device_agents.alarm_bank import AlarmBank
from device_agents.vitals import HeartRateBank
from device_agents.vitals_rhythm import RhythmBank
from edge_sdk.alarm_standard import STANDARD_RULES
from edge_sdk.codes import BEAT_CLASS
from edge_sdk.contracts import Label, OutputContract

RATE_HZ, HOP, SECONDS = 360, 36, 120
BEATS = OutputContract(
    name="class", code=BEAT_CLASS, labels=tuple(Label(name=name, display=name) for name in ("N", "S", "V"))
)


def main(streams: int) -> None:
    """Feed hearts of about 75/min with a few ventricular beats, hop by hop, and print microseconds."""
    random = np.random.default_rng(0)
    alarms = AlarmBank(STANDARD_RULES, models=[BEATS], sample_rate_hz=RATE_HZ)
    rates, rhythms = HeartRateBank(sample_rate_hz=RATE_HZ), RhythmBank(sample_rate_hz=RATE_HZ)
    for bank in (alarms, rates, rhythms):
        bank.resize(streams)
    every, before = np.arange(streams), np.zeros(streams, np.int64)
    after, beats, spent = random.integers(0, 300, streams), 0, Counter[str]()
    hops = SECONDS * RATE_HZ // HOP
    for until in range(HOP, (hops + 1) * HOP, HOP):
        lanes = np.flatnonzero(after < until)
        index, usable = after[lanes], np.ones(len(lanes), np.bool_)
        labels = 2 * (random.random(len(lanes)) < 0.05).astype(np.int64)
        rr_s = ((index - before[lanes]) / RATE_HZ).astype(np.float32)
        before[lanes], beats = index, beats + len(lanes)
        after[lanes] += random.integers(270, 310, len(lanes))
        with timed(spent, "alarms"):
            alarms.beats(lanes, index, usable)
            alarms.labels(lanes, index, labels, usable)
        with timed(spent, "settle"):
            alarms.settle(every, np.full(streams, until))
        with timed(spent, "heart rate"):
            rates.step(lanes, index, rr_s)
        with timed(spent, "rhythm"):
            rhythms.step(lanes, index, rr_s)
    print(f"{streams} streams, {beats / hops:.0f} beats a hop of 0.1 s")
    for name, took_s in spent.items():
        print(f"{name:10} {1e6 * took_s / beats:6.2f} us a beat  {1e6 * took_s / hops:7.1f} us a hop")


@contextmanager
def timed(spent: Counter[str], name: str) -> Iterator[None]:
    """Count the seconds that something takes."""
    begun_s = time.perf_counter()
    yield
    spent[name] += time.perf_counter() - begun_s


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
