"""What pieces of a serial line say: frames that count their samples, or lines of text that do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from device_agents.sources import serial_frames, serial_lines
from device_agents.sources.clock_gaps import GapDetector
from edge_sdk.errors import SignalError
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray

_REACH_S = 10.0  # so much may be lost and be counted; a counter that jumps further has begun anew
_COUNTER_MODULUS = 2**32


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Samples that arrived together.

    Attributes:
        samples: Shape (n, channels), NaN where missing.
        lost: Samples before them that never came.
        repeated: Samples that had come before and are left out.
        restarted: Nobody counted what was lost before them.
    """

    samples: FloatArray
    lost: int = 0
    repeated: int = 0
    restarted: bool = False


class Reader(Protocol):
    """One way to write samples.

    Attributes:
        end: What ends a piece.
        longest: Bytes of the longest piece.
        refused: Pieces so far that said nothing.
    """

    end: bytes
    longest: int
    refused: int

    def read(self, pieces: Iterable[bytes]) -> Iterator[Taken]:
        """Yield what pieces, without their ends, say."""

    def interrupt(self) -> None:
        """Say that the port was away."""


class FrameReader:
    """Implements `Reader` for frames.

    Args:
        format: What the samples mean.
    """

    end, longest = serial_frames.END, serial_frames.LONGEST

    def __init__(self, format: SignalFormat) -> None:  # noqa: A002  # the word
        self._channels = len(format.channels)
        self._reach = round(_REACH_S * format.sample_rate_hz)
        self._session: int | None = None
        self._counter = self._new_counter()
        self.refused = 0

    def read(self, pieces: Iterable[bytes]) -> Iterator[Taken]:
        """Yield every frame.

        Raises:
            SignalError: A whole frame has another number of channels.
        """
        for piece in filter(None, pieces):
            try:
                frame = serial_frames.decode_frame(piece)
            except SignalError:
                self.refused += 1
                continue
            yield self._placed(frame)

    def interrupt(self) -> None:
        """Do nothing: the frames' counter tells what was lost."""

    def _placed(self, frame: serial_frames.Frame) -> Taken:
        count, channels = frame.samples.shape
        if channels != self._channels:
            raise SignalError(
                f"the serial line brings frames of {channels} channels where {self._channels} are configured",
                remedy="correct the channels of the source",
            )
        is_other = self._session not in {None, frame.session}
        if is_other:
            self._counter = self._new_counter()
        self._session = frame.session
        placed = self._counter.place(frame.first, count)
        return Taken(
            samples=frame.samples[placed.repeated :],
            lost=placed.lost,
            repeated=placed.repeated,
            restarted=placed.restarted or is_other,
        )

    def _new_counter(self) -> GapDetector:
        return GapDetector(modulus=_COUNTER_MODULUS, reach=self._reach)


class LineReader:
    """Implements `Reader` for text. Once there was a whole line, a damaged one is a missing sample.

    Args:
        format: What the samples mean.
        scale: Of the format's unit for each step of the numbers.
        baseline: The number that stands for 0.
    """

    end, longest = serial_lines.END, serial_lines.LONGEST

    def __init__(self, format: SignalFormat, *, scale: float = 1.0, baseline: float = 0.0) -> None:  # noqa: A002
        self._channels, self._scale, self._baseline = len(format.channels), scale, baseline
        self._whole = self._begun = self._interrupted = False
        self.refused = 0

    def read(self, pieces: Iterable[bytes]) -> Iterator[Taken]:
        """Yield all lines as one."""
        rows = [row for piece in pieces if (row := self._row(piece))]
        if rows:
            with np.errstate(over="ignore"):
                samples = ((np.array(rows, np.float64) - self._baseline) * self._scale).astype(np.float32)
            samples[~np.isfinite(samples)] = np.nan
            yield Taken(samples=samples, restarted=self._interrupted)
            self._interrupted = False

    def interrupt(self) -> None:
        """Take what comes next for a new beginning."""
        self._whole, self._begun, self._interrupted = False, False, self._begun or self._interrupted

    def _row(self, line: bytes) -> tuple[float, ...]:
        if not self._whole:  # the first may be half a line, and look like a number
            self._whole = True
            return ()
        if not line.strip():
            return ()
        try:
            row = serial_lines.decode_line(line, channels=self._channels)
        except SignalError:
            self.refused += 1
            return (np.nan,) * self._channels if self._begun else ()
        self._begun = True
        return row
