"""What the Edge TPU compiler says, read."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")
_SIZES = {
    "used": re.compile(r"On-chip memory used for caching model parameters: (\S+)"),
    "remaining": re.compile(r"On-chip memory (?:remaining|available) for caching model parameters: (\S+)"),
    "streamed": re.compile(r"Off-chip memory used for streaming uncached model parameters: (\S+)"),
}
_SIZE = re.compile(r"([\d.]+)([KMG]i)?B")
_UNITS = {None: 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_SUBGRAPHS = re.compile(r"Number of Edge TPU subgraphs: (\d+)")
_ROW = re.compile(r"^([A-Za-z][\w-]*)\s+(\d+)\s{2,}(\S.*?)\s*$", re.MULTILINE)
# What it says last says least: the reason is in the first of these.
_COMPLAINT = re.compile(
    r"^(?:ERROR: .+|Compilation failed: .+|Invalid model: .+|Model not quantized.*|Model could not be parsed.*"
    r"|Internal compiler error.*|.*[Cc]ould not .+|Compilation failed!.*)$",
    re.MULTILINE,
)
_COMPLAINTS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class LogRow:
    """One row of the compiler's table: so many operators of one kind, and what became of them."""

    operator: str
    count: int
    status: str


@dataclass(frozen=True, kw_only=True)
class CompilerLog:
    """What the compiler said.

    Attributes:
        version: Its version; empty if it did not say.
        rows: Its table of operators; empty if it printed none.
        subgraphs: Parts of the model that run on the Edge TPU.
        cached_bytes: Parameters that stay in the Edge TPU's memory, with their padding.
        remaining_bytes: Memory left for more.
        streamed_bytes: Parameters that are sent again for every inference.
        complaints: Its words for what went wrong, the most telling first.
    """

    version: str
    rows: tuple[LogRow, ...]
    subgraphs: int
    cached_bytes: int
    remaining_bytes: int
    streamed_bytes: int
    complaints: tuple[str, ...]


def parse_log(text: str) -> CompilerLog:
    """Return what the compiler's output says; what it does not say is empty or 0."""
    version, subgraphs = _VERSION.search(text), _SUBGRAPHS.search(text)
    complaints = dict.fromkeys(" ".join(line.split()) for line in _COMPLAINT.findall(text))
    return CompilerLog(
        version=version.group(1) if version else "",
        rows=tuple(
            LogRow(operator=operator, count=int(count), status=status) for operator, count, status in _ROW.findall(text)
        ),
        subgraphs=int(subgraphs.group(1)) if subgraphs else 0,
        cached_bytes=_size(text, "used"),
        remaining_bytes=_size(text, "remaining"),
        streamed_bytes=_size(text, "streamed"),
        complaints=tuple(complaints)[:_COMPLAINTS_SHOWN],
    )


def _size(text: str, what: str) -> int:
    line = _SIZES[what].search(text)
    size = _SIZE.fullmatch(line.group(1)) if line else None
    return round(float(size.group(1)) * _UNITS[size.group(2)]) if size else 0
