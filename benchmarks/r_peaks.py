"""R peaks: this package's streaming detector beside wfdb's XQRS, in one run on the same records.

Scored by ANSI/AAMI EC57 (150 ms window, first 5 minutes skipped, ventricular flutter skipped). XQRS sees the whole
record at once; the streaming detector is fed second by second, as on a device.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from wfdb.processing import XQRS

from edge_sdk.detectors import RPeakDetector
from edge_sdk.ec57 import Score, annotated_beats, pool, score_record, unclassified_beats, ventricular_flutter_spans

Detect = Callable[[NDArray[np.float32], float], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one detector made of one record."""

    score: Score
    cpu_s: float


def main() -> int:
    """Score both detectors on every annotated record of a folder; print a table, and write JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True, help="folder of WFDB records with .atr annotations")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    records = sorted(path.with_suffix("") for path in arguments.db.glob("*.atr"))
    if not records:
        parser.error(f"no annotated record (*.atr) in {arguments.db}")
    results = {record.name: {name: run(record, detect) for name, detect in DETECTORS.items()} for record in records}
    results["pooled"] = {name: pooled([result[name] for result in results.values()]) for name in DETECTORS}
    Console().print(table_of(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures_of(results), indent=2) + "\n")
    return 0


def run(record: Path, detect: Detect) -> Result:
    """Return one detector's score on lead MLII, or on the first lead of a record without it."""
    header = wfdb.rdheader(str(record))
    lead = "MLII" if "MLII" in header.sig_name else header.sig_name[0]
    signal = wfdb.rdrecord(str(record), channel_names=[lead]).p_signal[:, 0].astype(np.float32)
    started = time.process_time()
    found = detect(signal, float(header.fs))
    cpu_s = time.process_time() - started
    notes = wfdb.rdann(str(record), "atr")
    score = score_record(
        reference=annotated_beats(notes.sample, notes.symbol),
        detected=unclassified_beats(found),
        sample_rate_hz=header.fs,
        excluded=ventricular_flutter_spans(notes.sample, notes.symbol),
    )
    return Result(score=score, cpu_s=cpu_s)


def edge_sdk_stream(signal: NDArray[np.float32], sample_rate_hz: float) -> NDArray[np.int64]:
    """Feed a signal to the streaming detector in blocks of one second."""
    detector = RPeakDetector(sample_rate_hz=sample_rate_hz)
    second = round(sample_rate_hz)
    found = [detector.push(signal[at : at + second]) for at in range(0, len(signal), second)]
    return np.concatenate([*found, detector.flush()])


def xqrs(signal: NDArray[np.float32], sample_rate_hz: float) -> NDArray[np.int64]:
    """Run wfdb's detector on the whole signal."""
    detector = XQRS(sig=signal.astype(np.float64), fs=sample_rate_hz)
    detector.detect(verbose=False)
    return np.unique(np.asarray(detector.qrs_inds, np.int64))


DETECTORS: dict[str, Detect] = {"edge_sdk": edge_sdk_stream, "XQRS": xqrs}


def pooled(results: list[Result]) -> Result:
    """Return the gross result."""
    return Result(score=pool(result.score for result in results), cpu_s=sum(result.cpu_s for result in results))


def table_of(results: dict[str, dict[str, Result]]) -> Table:
    """Return what a person reads."""
    speed = results["pooled"]["XQRS"].cpu_s / results["pooled"]["edge_sdk"].cpu_s
    table = Table(title="R peaks by EC57", caption=f"CPU time: XQRS / edge_sdk = {speed:.2f}")
    for heading in (
        "record",
        *(f"{name}\n{what}" for name in DETECTORS for what in ("Se %", "+P %", "missed", "extra")),
    ):
        table.add_column(heading, justify="right")
    for record, by_detector in results.items():
        cells = [cell for result in by_detector.values() for cell in cells_of(result.score)]
        table.add_row(record, *cells, end_section=record == list(results)[-2])
    return table


def cells_of(score: Score) -> tuple[str, ...]:
    """Return one detector's columns of one row."""
    rates = (score.sensitivity, score.positive_predictivity)
    return (*(f"{100 * rate:.2f}" for rate in rates), str(score.missed), str(score.extra))


def figures_of(results: dict[str, dict[str, Result]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return what a program reads: fractions, counts and seconds by record and detector."""
    return {
        record: {
            name: {
                "beats": result.score.beats,
                "missed": result.score.missed,
                "extra": result.score.extra,
                "sensitivity": result.score.sensitivity,
                "positive_predictivity": result.score.positive_predictivity,
                "cpu_s": result.cpu_s,
            }
            for name, result in by_detector.items()
        }
        for record, by_detector in results.items()
    }


if __name__ == "__main__":
    sys.exit(main())
