"""Processing a stream exactly once, though its agent may be killed at any moment.

A replay that begins again repeats itself exactly, so what it had already put is left out by counting. The count and
the observations are in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from device_agents.outbox import Outbox, Position
from edge_sdk.observation import Observation


class Progress:
    """Puts one stream's observations into the outbox, each once.

    Args:
        outbox: Where to.
        stream: Name of the stream.
        identity: Everything that its observations depend on.
        start_time_ns: Time to give sample 0, unless this stream has begun before.
    """

    def __init__(self, outbox: Outbox, *, stream: str, identity: str, start_time_ns: int) -> None:
        self._outbox, self._stream = outbox, stream
        known = outbox.position(stream)
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

    def keep(self, observations: Sequence[Observation], *, end_index: int) -> Sequence[Observation]:
        """Put what is new and return it; everything before ``end_index`` has then been processed."""
        repeated = min(len(observations), max(0, self._known.produced - self._produced))
        self._produced += len(observations)
        new = observations[repeated:]
        if end_index > self._known.end_index or new:
            position = Position(
                identity=self._known.identity,
                end_index=end_index,
                produced=self._produced,
                start_time_ns=self._known.start_time_ns,
            )
            self._outbox.put_many(new, stream=self._stream, position=position)
        return new
