"""Which stretches of signal a person should see: around abnormal beats, never the same sample twice. Pure."""

from __future__ import annotations

from dataclasses import dataclass

BEFORE_S = AFTER_S = 1.5  # three seconds show the beats before and after at any rate above 40/min


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """Samples ``start_index`` to before ``end_index``, about the beat at ``anchor_index``."""

    start_index: int
    end_index: int
    anchor_index: int


class Strips:
    """Plans strips as abnormal beats come. A beat that a planned strip shows already gets none of its own."""

    def __init__(self, *, sample_rate_hz: float) -> None:
        self._before, self._after = round(BEFORE_S * sample_rate_hz), round(AFTER_S * sample_rate_hz)
        self._covered_to = 0
        self._waiting: list[Strip] = []

    def want(self, anchor_index: int) -> None:
        """Ask for a strip around a beat."""
        if anchor_index < self._covered_to:
            return
        start = max(anchor_index - self._before, self._covered_to)
        self._covered_to = anchor_index + self._after
        self._waiting.append(Strip(start_index=start, end_index=self._covered_to, anchor_index=anchor_index))

    def due(self, *, end_index: int, at_end: bool) -> list[Strip]:
        """Return the strips whose last sample has come (or, at the end of the stream, never will)."""
        due = [strip for strip in self._waiting if at_end or strip.end_index <= end_index]
        self._waiting = self._waiting[len(due) :]
        return due
