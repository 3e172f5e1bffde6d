"""Wearables that publish their samples over MQTT: one connection, many streams, which come and go by their messages.

Whatever is published there can do no worse than be counted: what is not understood, not announced or one stream too
many is left out, and the first of its kind is logged.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable

from device_agents.broker import Broker, Connection
from device_agents.config import BrokerConfig
from device_agents.delivery import full_jitter_s
from device_agents.sources.base import Sink
from device_agents.sources.mqtt_topic_messages import Message, Samples, Start, decode
from device_agents.sources.mqtt_topic_stream import WearableStream
from edge_sdk.errors import BrokerUnavailable, ConfigError, EdgeError

_STREAM = "{stream}"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_POLL_S = 0.05
_SESSION_S = 600  # the broker keeps what comes while the connection is down for so long
_MOST_LOGGED = 100
_log = logging.getLogger(__name__)


class TopicPattern:
    """A topic with ``{stream}`` as one of its levels.

    Raises:
        ConfigError: It has none, or several, or holds a wildcard.
    """

    def __init__(self, pattern: str) -> None:
        self._levels = pattern.split("/")
        if self._levels.count(_STREAM) != 1 or not all(self._levels) or any(c in pattern for c in "+#\0"):
            raise ConfigError(
                f"topic {pattern!r} does not say which level names the stream",
                remedy="write it like wearables/{stream}, without wildcards",
            )

    @property
    def filter(self) -> str:
        """What to subscribe to."""
        return "/".join("+" if level == _STREAM else level for level in self._levels)

    def stream(self, topic: str) -> str | None:
        """Return the stream that a topic names, or ``None`` if it names none that can be one."""
        levels = topic.split("/")
        if len(levels) != len(self._levels):
            return None
        name = levels[self._levels.index(_STREAM)]
        same = all(a in (b, _STREAM) for a, b in zip(self._levels, levels, strict=True))
        return name if same and _NAME.fullmatch(name) else None


class MqttTopicFeed:
    """Implements `Feed`.

    Args:
        broker: Which broker.
        topic: Where wearables publish; ``{stream}`` stands for the stream's name.
        client_id: Name at the broker; a second connection of that name ends the first.
        most_streams: Streams that may be announced at a time.
        utc_ns: UTC time when it is made; from then on the monotonic clock counts.

    Attributes:
        counts: Messages by what became of them, and ``lost`` and ``repeated`` samples.

    Raises:
        ConfigError: The topic names no stream, or the broker's password file cannot be read.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        *,
        topic: str,
        client_id: str,
        most_streams: int = 4_096,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._url, self._pattern, self._most = broker.url, TopicPattern(topic), most_streams
        self._broker = Broker(broker, client_id=client_id, session_s=_SESSION_S, on_delivery=self._delivered)
        self._utc_minus_monotonic_ns = utc_ns() - time.monotonic_ns()
        self._streams: dict[str, WearableStream] = {}
        self._sink: Sink | None = None
        self._closed = threading.Event()
        self.counts: Counter[str] = Counter()

    def run(self, sink: Sink) -> None:
        """Deliver what wearables publish, until closed.

        Raises:
            ConfigError: The certificate authority is none.
        """
        self._sink, attempt = sink, 0
        while not self._closed.is_set():
            try:
                connection = self._broker.connect()
            except BrokerUnavailable as error:
                if attempt == 0:
                    _log.warning("%s; until then no wearable is heard", error)
                self._closed.wait(full_jitter_s(attempt, chance=random.random))
                attempt += 1
                continue
            attempt = 0
            self._serve(connection)
        for name in list(self._streams):
            self._end(name, "the gateway stops")

    def close(self) -> None:
        """End it."""
        self._closed.set()

    def _serve(self, connection: Connection) -> None:
        _log.info("listening to %s at %s", self._pattern.filter, self._url)
        connection.subscribe(self._pattern.filter)
        while connection.serve(timeout_s=_POLL_S):
            if self._closed.is_set():
                connection.close()
                return
        _log.warning("lost the connection to %s", self._url)

    def _delivered(self, topic: str, payload: bytes) -> None:
        arrival_ns = time.monotonic_ns() + self._utc_minus_monotonic_ns
        name = self._pattern.stream(topic)
        if name is None:
            self._refuse("misnamed", topic[:80], "its topic names no stream")
            return
        try:
            self._act(name, decode(payload), arrival_ns)
        except EdgeError as error:
            self._refuse("refused", name, str(error))

    def _act(self, name: str, message: Message, arrival_ns: int) -> None:
        if isinstance(message, Samples):
            self._take(name, message, arrival_ns)
        elif isinstance(message, Start):
            self._start(name, message)
        else:
            self._end(name, message.reason or "the wearable ended it")
            self.counts["ends"] += 1

    def _start(self, name: str, start: Start) -> None:
        assert self._sink is not None  # noqa: S101  # messages come only while running
        known = self._streams.get(name)
        if known is not None and known.start == start:
            return  # the retained one, after each new connection
        if known is None and len(self._streams) >= self._most:
            self._refuse("too many", name, f"{self._most} streams are announced already")
            return
        self._end(name, "the wearable began anew")
        self._streams[name] = WearableStream(name, start, self._sink)
        self.counts["starts"] += 1

    def _take(self, name: str, message: Samples, arrival_ns: int) -> None:
        stream = self._streams.get(name)
        if stream is None:
            self._refuse("unannounced", name, "samples came before a start")
            return
        lost, repeated = stream.lost, stream.repeated
        stream.take(message, arrival_ns=arrival_ns)
        self.counts["samples"] += 1
        self.counts["lost"] += stream.lost - lost
        self.counts["repeated"] += stream.repeated - repeated

    def _end(self, name: str, reason: str) -> None:
        stream = self._streams.pop(name, None)
        if stream is not None:
            stream.close(reason)

    def _refuse(self, kind: str, who: str, why: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= _MOST_LOGGED:
            _log.warning("left out a message of %r: %s", who, why)
