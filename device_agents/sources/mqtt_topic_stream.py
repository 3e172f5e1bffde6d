"""One wearable's stream on a topic: its samples in their place and at their time."""

from __future__ import annotations

from device_agents.sources.base import Sink
from device_agents.sources.clock import ClockEstimator
from device_agents.sources.clock_gaps import GapDetector
from device_agents.sources.mqtt_topic_messages import Samples, Start
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock

_LONGEST_GAP_S = 60.0  # after a longer one nothing that was learnt of the stream still holds


class WearableStream:
    """Delivers one wearable's samples. The stream is opened by the first of them, so that its time is known.

    Args:
        name: Of the stream.
        start: What the wearable said of it.
        sink: Where it is delivered.

    Attributes:
        start: As given.
        lost: Samples that never came.
        repeated: Samples that came twice.
    """

    def __init__(self, name: str, start: Start, sink: Sink) -> None:
        self.start, self._name, self._sink = start, name, sink
        self._is_open = False
        self.lost = self.repeated = 0
        self._begin_anew()

    def take(self, message: Samples, *, arrival_ns: int) -> None:
        """Deliver what is new of a message.

        Raises:
            SignalError: The sink does not take it.
            MessageError: The samples make no sense.
        """
        values = message.values(self.start)
        placed = self._places.place(message.index, len(values))
        if placed.restarted or self._is_clock_set(message, len(values), arrival_ns):
            self.close("the wearable began anew")
            self._begin_anew()
            placed = self._places.place(message.index, len(values))
            self._is_clock_set(message, len(values), arrival_ns)
        self.lost, self.repeated = self.lost + placed.lost, self.repeated + placed.repeated
        if placed.repeated == len(values):
            return
        time_ns = self._time_ns(message, placed.repeated)
        if not self._is_open:
            quality = ClockQuality.SYNCHRONIZED if self._is_utc(message) else ClockQuality.CORRECTED
            self._sink.open(
                self._name,
                format=self.start.format,
                clock=quality,
                start_time_ns=time_ns,
                subject=self.start.subject,
            )
            self._is_open = True
        block = SampleBlock(start_index=placed.index, start_time_ns=time_ns, samples=values[placed.repeated :])
        self._sink.push(self._name, block)

    def close(self, reason: str) -> None:
        """End the stream, if it is open."""
        if self._is_open:
            self._is_open = False
            self._sink.close(self._name, reason)

    def _begin_anew(self) -> None:
        self._clock = ClockEstimator()
        self._places = GapDetector(reach=round(_LONGEST_GAP_S * self.start.sample_rate_hz))

    def _is_utc(self, message: Samples) -> bool:
        return self.start.clock == "utc" and message.time_ns is not None

    def _device_ns(self, message: Samples, after: int) -> int:
        """Return the wearable's time of the sample that is ``after`` the message's first."""
        if message.time_ns is None:
            return round((message.index + after) * 1e9 / self.start.sample_rate_hz)
        return message.time_ns + round(after * 1e9 / self.start.sample_rate_hz)

    def _is_clock_set(self, message: Samples, count: int, arrival_ns: int) -> bool:
        if self._is_utc(message):
            return False
        # A message can be sent no sooner than its last sample is taken.
        return self._clock.observe(self._device_ns(message, count), arrival_ns)

    def _time_ns(self, message: Samples, after: int) -> int:
        device_ns = self._device_ns(message, after)
        return device_ns if self._is_utc(message) else self._clock.time_ns(device_ns)
