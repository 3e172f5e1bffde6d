"""Processing a recording exactly once, though its agent may be killed at any moment.

A replay that begins again repeats itself exactly, so what it had already put is left out by counting. The count and
the observations are in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from device_agents.outbox import Position
from edge_sdk.observation import Observation


class Progress:
    """Lets each observation of one recording through once.

    Args:
        known: How far this stream had come when it was last remembered, if it was.
        identity: Everything that its observations depend on.
        start_time_ns: Time to give sample 0, unless this recording has begun before.
    """

    def __init__(self, known: Position | None, *, identity: str, start_time_ns: int) -> None:
        if known is None or known.identity != identity:
            known = Position(identity=identity, end_index=0, produced=0, start_time_ns=start_time_ns)
        self._known, self._produced = known, 0

    @property
    def start_time_ns(self) -> int:
        """Time of sample 0."""
        return self._known.start_time_ns

    @property
    def resume_index(self) -> int:
        """Samples processed before this start."""
        return self._known.end_index

    def new(
        self, observations: Sequence[Observation], *, end_index: int
    ) -> tuple[Sequence[Observation], Position | None]:
        """Return what was not told before, and how far the stream has come if that must be remembered.

        Args:
            observations: The next ones.
            end_index: Everything before it has then been processed.
        """
        repeated = min(len(observations), max(0, self._known.produced - self._produced))
        self._produced += len(observations)
        new = observations[repeated:]
        if end_index <= self._known.end_index and not new:
            return new, None
        return new, Position(
            identity=self._known.identity,
            end_index=end_index,
            produced=self._produced,
            start_time_ns=self._known.start_time_ns,
        )
