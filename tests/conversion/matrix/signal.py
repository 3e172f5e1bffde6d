"""A minute of a real ECG, of which the matrix's windows are cut."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edge_sdk.tensors import FloatArray
from tests.signals.records import read_record

RECORD = Path(__file__).parents[3] / "examples" / "ecg_beats" / "data" / "200"
_EVERY = 4  # 360 Hz to 90


@cache
def real_ecg() -> FloatArray:
    """Return samples of MLII, shape (n,)."""
    record = read_record(RECORD)
    return record.signal[: round(60 * record.sample_rate_hz) : _EVERY]
