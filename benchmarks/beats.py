"""What it costs to find, cut and describe the heartbeats of many streams: real ECG, each lane elsewhere in the records.

Times are those of one thread on the processor. Finding and filtering are timed again by themselves; what they leave of
the whole is cutting and describing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import wfdb
from rich.console import Console
from rich.table import Table

from edge_sdk.beats import BeatBank
from edge_sdk.beats.bank import FilterBank, RPeakBank, ecg_sections
from edge_sdk.lanes import hop_of
from edge_sdk.tensors import FloatArray

LEAD, BEFORE_S, AFTER_S = "MLII", 0.25, 0.45
PATH = click.Path(path_type=Path)
WARM_UP_S = 10.0  # the detector learns for some seconds, and tells the first beats all at once


@click.command(help=__doc__)
@click.option("--record", "records", type=PATH, multiple=True, required=True, help="WFDB records, without extension.")
@click.option("--lanes", type=int, multiple=True, default=(1, 100, 1000), show_default=True, help="How many at a time.")
@click.option("--seconds", type=float, default=20.0, show_default=True, help="How long each is measured.")
@click.option("--json", "json_path", type=PATH, help="File to write the figures to.")
def main(records: tuple[Path, ...], lanes: tuple[int, ...], seconds: float, json_path: Path | None) -> None:
    """Measure and print."""
    leads = [wfdb.rdrecord(str(path), channel_names=[LEAD]) for path in records]
    signals = [lead.p_signal[:, 0].astype(np.float32) for lead in leads]
    rate = float(leads[0].fs)
    figures = {str(number): measure(signals, number, rate=rate, seconds=seconds) for number in lanes}
    table = Table("lanes", "beats", "whole, us/beat", "of it cut and described, us/beat", title="Heartbeats")
    for number, found in figures.items():
        table.add_row(number, f"{found['beats']:.0f}", f"{found['whole_us']:.1f}", f"{found['described_us']:.1f}")
    Console().print(table)
    if json_path:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")


def measure(signals: list[FloatArray], lanes: int, *, rate: float, seconds: float) -> dict[str, float]:
    """Return beats found, and microseconds a beat."""
    hop = hop_of(rate)
    warm, hops = round(WARM_UP_S * rate) // hop, round((WARM_UP_S + seconds) * rate) // hop
    rows = tiled(signals, lanes, hops * hop).reshape(hops, hop, lanes)
    bank = BeatBank(sample_rate_hz=rate, before_s=BEFORE_S, after_s=AFTER_S)
    detector, filters = RPeakBank(sample_rate_hz=rate), FilterBank(ecg_sections(rate), hop=hop)
    every, beats, whole_s, found_s = np.arange(lanes), 0, 0.0, 0.0
    for part in (bank, detector, filters):
        part.resize(lanes)
    for number, samples in enumerate(rows):
        found, spent_s = timed(lambda now=samples: bank.step(every, now))
        _, detecting_s = timed(lambda now=samples: detector.step(every, now))
        _, filtering_s = timed(lambda now=samples: filters.step(every, now))
        if number >= warm:
            beats, whole_s, found_s = beats + len(found.lane), whole_s + spent_s, found_s + detecting_s + filtering_s
    return {"beats": beats, "whole_us": 1e6 * whole_s / beats, "described_us": 1e6 * (whole_s - found_s) / beats}


def tiled(signals: list[FloatArray], lanes: int, samples: int) -> FloatArray:
    """Return so many streams, shape (samples, lanes), each from another record or another place of it."""
    places = np.linspace(0, min(map(len, signals)) - samples, lanes).astype(int)
    cut = [signals[lane % len(signals)][at : at + samples] for lane, at in enumerate(places)]
    return np.ascontiguousarray(np.array(cut).T)


def timed(step: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a step gives, and the thread's seconds on the processor."""
    before_s = time.thread_time()
    given = step()
    return given, time.thread_time() - before_s


if __name__ == "__main__":
    main()
