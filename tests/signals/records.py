"""Real recordings for the tests of signal maths."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Record:
    """One lead in mV, and its annotations where there are any."""

    signal: NDArray[np.float32]
    sample_rate_hz: float
    annotated: NDArray[np.int64]
    symbols: list[str]


def wfdb_module() -> ModuleType:
    """Import wfdb, whose use of pandas warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb
        import wfdb.processing
    return wfdb


def read_record(path: Path, lead: str = "MLII") -> Record:
    """Read one lead of a WFDB record, with its ``.atr`` annotations if it has them."""
    wfdb = wfdb_module()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = wfdb.rdrecord(str(path), channel_names=[lead])
        notes = wfdb.rdann(str(path), "atr") if path.with_suffix(".atr").exists() else None
    return Record(
        signal=record.p_signal[:, 0].astype(np.float32),
        sample_rate_hz=float(record.fs),
        annotated=np.asarray(notes.sample if notes else [], np.int64),
        symbols=list(notes.symbol) if notes else [],
    )
