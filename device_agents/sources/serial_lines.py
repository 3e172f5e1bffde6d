"""Samples as lines of text, one line for each time, as Arduino sketches print them."""

from __future__ import annotations

import re

from edge_sdk.errors import SignalError

END = b"\n"
LONGEST = 200
_BETWEEN = re.compile(r"[,;\s]+")
_LABELLED = re.compile(r":\s*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan", re.ASCII | re.IGNORECASE)


def decode_line(line: bytes, *, channels: int) -> tuple[float, ...]:
    """Return one line's numbers, one for each channel; NaN for what is written as ``nan``.

    Raises:
        SignalError: It does not hold so many numbers.
    """
    text = _LABELLED.sub(":", line.decode("ascii", errors="replace")).strip()
    fields = [field.rpartition(":")[2] for field in _BETWEEN.split(text)]  # Arduino's plotter: "ecg:512,resp:12"
    if not all(map(_NUMBER.fullmatch, fields)):
        raise SignalError("no numbers in a line", remedy="print numbers and commas alone")
    if len(fields) != channels:
        raise SignalError(f"{len(fields)} numbers where {channels} are expected", remedy="print one for each channel")
    return tuple(map(float, fields))
