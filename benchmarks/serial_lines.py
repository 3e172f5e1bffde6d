"""CPU time of reading samples from a serial line: run ``python -m benchmarks.serial_lines`` in the repository."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from device_agents.sources.serial_readers import FrameReader, LineReader, Reader
from device_agents.sources.serial_stream import SerialStream
from edge_sdk.signals import SignalFormat
from tests.device.records import BASELINE, read_stored
from tests.fakes.firmware import frames, lines

RECORD = Path(__file__).parent.parent / "examples" / "ecg_beats" / "data" / "200"
ECG = SignalFormat(kind="ecg", unit="mV", channels=("MLII",), sample_rate_hz=360)
SIZE, TURNS = 36, 5


def cost_us(reader: Reader, pieces: Sequence[bytes]) -> float:
    """CPU time of one piece, microseconds."""
    stream = SerialStream(ECG, reader)
    began_ns = time.process_time_ns()
    for number, piece in enumerate(pieces):
        for _ in stream.push(piece, number * 10**8):
            pass
    return (time.process_time_ns() - began_ns) / len(pieces) / 1e3


def main() -> None:
    """Print the median of five turns."""
    steps = read_stored(RECORD, samples=3000 * SIZE)[:, :1] - BASELINE
    printed = lines(steps[:, 0])[1:]
    text = [b"".join(printed[at : at + SIZE]) for at in range(0, len(printed), SIZE)]
    framed = frames(steps.astype(np.int16), size=SIZE)
    for what, make, pieces in (("a frame", FrameReader, framed), ("text", LineReader, text)):
        costs = [cost_us(make(ECG), pieces) for _ in range(TURNS)]
        print(f"{what} of {SIZE} samples: {np.median(costs):.0f} us")


if __name__ == "__main__":
    main()
