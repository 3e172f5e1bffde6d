"""What has been sent and not acknowledged, and when it must be sent again. Pure: time and chance come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_sdk.messages import Ack

# Enough for thousands of observations a second; what a broker may hold of ours, and what we hold twice.
WINDOW_ENTRIES, WINDOW_BYTES = 4_000, 2 * 1024 * 1024
PATIENCE_S, LONGEST_BACKOFF_S = 5.0, 60.0


@dataclass(frozen=True, slots=True)
class _Flight:
    sent_s: float
    size_bytes: int


class Delivery:
    """The judge of one connection. Two lanes, alarms and routine, each in order of number.

    Args:
        chance: Returns 0 … 1, evenly.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance, self._patience_s, self._attempt = chance, PATIENCE_S, 0
        self._flying: dict[int, _Flight] = {}  # in the order of sending
        self._sent_to = {True: 0, False: 0}

    def sent_to(self, *, alarms: bool) -> int:
        """Return the number that a lane has been sent up to."""
        return self._sent_to[alarms]

    def has_room(self) -> bool:
        """Return whether more routine observations may be sent before some are acknowledged."""
        size = sum(flight.size_bytes for flight in self._flying.values())
        return len(self._flying) < WINDOW_ENTRIES and size < WINDOW_BYTES

    def is_flying(self, seq: int) -> bool:
        """Return whether a number has been sent and is neither acknowledged nor given up."""
        return seq in self._flying

    def sent(self, seqs: Sequence[int], *, size_bytes: int, now_s: float, alarms: bool | None = None) -> None:
        """Note that these numbers are on their way; ``alarms`` says in which lane, if in one."""
        self._flying.update(dict.fromkeys(seqs, _Flight(now_s, size_bytes // max(1, len(seqs)))))
        if alarms is not None:
            self._sent_to[alarms] = max(seqs)

    def acknowledged(self, ack: Ack) -> None:
        """Note what has arrived."""
        before = len(self._flying)
        settled = [(0, ack.watermark), *ack.ranges]
        self._flying = {
            seq: flight
            for seq, flight in self._flying.items()
            if not any(first <= seq <= last for first, last in settled)
        }
        if len(self._flying) < before:
            self._attempt, self._patience_s = 0, PATIENCE_S

    def lost_patience(self, now_s: float) -> bool:
        """Return whether what was sent first has waited too long; then everything unacknowledged goes out again."""
        oldest = next(iter(self._flying.values()), None)
        if oldest is None or now_s - oldest.sent_s < self._patience_s:
            return False
        self._attempt += 1
        self.start_over()
        self._patience_s = PATIENCE_S + full_jitter_s(self._attempt, chance=self._chance)
        return True

    def start_over(self) -> None:
        """Forget what was sent: after a new connection, nobody knows what became of it."""
        self._flying.clear()
        self._sent_to = {True: 0, False: 0}


def full_jitter_s(attempt: int, *, chance: Callable[[], float]) -> float:
    """Return how long to wait before an attempt: anything up to a limit that doubles, so that nobody keeps step.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return chance() * min(LONGEST_BACKOFF_S, PATIENCE_S * 2.0 ** min(attempt, 10) / 2)
