"""One source as a feed of one stream."""

from __future__ import annotations

from device_agents.sources.base import Sink, Source
from edge_sdk.errors import EdgeError


class SourceFeed:
    """Implements `Feed` on a `Source`. It runs in the thread that calls `run`.

    Args:
        name: Of the stream.
        source: Gives its samples.
        subject: Pseudonym of the patient.
    """

    def __init__(self, name: str, source: Source, *, subject: str = "") -> None:
        self._name, self._source, self._subject = name, source, subject

    def run(self, sink: Sink) -> None:
        """Deliver the stream to its end.

        Raises:
            EdgeError: The source failed; the stream is closed with its reason.
        """
        source, reason = self._source, "the source ended"
        sink.open(
            self._name,
            format=source.format,
            clock=source.clock,
            start_time_ns=source.start_time_ns,
            subject=self._subject,
        )
        try:
            for block in source.blocks():
                sink.push(self._name, block)
        except EdgeError as error:
            reason = str(error)
            raise
        finally:
            sink.close(self._name, reason)

    def close(self) -> None:
        """End the stream. May be called twice, and from another thread."""
        self._source.close()
