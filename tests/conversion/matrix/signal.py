"""A minute of a real ECG, of which the matrix's windows are cut."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import wfdb

from edge_sdk.tensors import FloatArray

RECORD = Path(__file__).parents[3] / "examples" / "ecg_beats" / "data" / "200"
_EVERY = 4  # 360 Hz to 90


@cache
def real_ecg() -> FloatArray:
    """Return samples of MLII, shape (n,)."""
    header = wfdb.rdheader(str(RECORD))
    samples = wfdb.rdrecord(str(RECORD), sampto=round(60 * header.fs)).p_signal[::_EVERY, 0]
    wanted: FloatArray = samples.astype(np.float32)
    return wanted
