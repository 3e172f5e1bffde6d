"""Writing WFDB records for tests, from the stored integers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GAIN, BASELINE = 200, 1024
MISSING = {16: -32768, 212: -2048}


def write_record(  # noqa: PLR0913  # what a header says
    record: Path,
    stored: NDArray[np.int64],
    *,
    channels: Sequence[str] = ("MLII", "V1"),
    storage: int = 212,
    sample_rate_hz: float = 360,
    unit: str = "mV",
    base_time: str = "",
) -> Path:
    """Write stored samples of shape (n, channels) and return the record's path."""
    record.parent.mkdir(parents=True, exist_ok=True)
    record.with_suffix(".dat").write_bytes(_packed(stored.reshape(-1), storage))
    lines = [f"{record.name} {len(channels)} {sample_rate_hz:g} {len(stored)} {base_time}"]
    for column, name in enumerate(channels):
        checksum = int(stored[:, column].sum().astype(np.int16))
        scale = f"{GAIN}({BASELINE})/{unit}"
        lines.append(f"{record.name}.dat {storage} {scale} 11 {BASELINE} {stored[0, column]} {checksum} 0 {name}")
    record.with_suffix(".hea").write_text("\n".join(lines) + "\n")
    return record


def read_stored(record: Path, *, samples: int) -> NDArray[np.int64]:
    """Return the first samples of the two-channel format-212 record that is shipped, shape (samples, 2)."""
    packed = np.frombuffer(record.with_suffix(".dat").read_bytes()[: samples * 3], np.uint8)
    low, both, high = packed.reshape(-1, 3).astype(np.int64).T
    columns = np.stack([low | (both & 0x0F) << 8, high | (both & 0xF0) << 4], axis=1)
    return np.where(columns > 2047, columns - 4096, columns)


def in_mv(stored: NDArray[np.int64], *, storage: int = 212) -> NDArray[np.float32]:
    """Return what stored samples mean, NaN where missing."""
    return np.where(stored == MISSING[storage], np.nan, (stored - BASELINE) / GAIN).astype(np.float32)


def _packed(stored: NDArray[np.int64], storage: int) -> bytes:
    if storage == 16:
        return stored.astype("<i2").tobytes()
    pairs = np.resize(np.append(stored, 0), (-(-len(stored) // 2), 2)) & 0xFFF
    first, second = pairs.T
    return np.stack([first & 0xFF, first >> 8 | second >> 8 << 4, second & 0xFF], axis=1).astype(np.uint8).tobytes()
