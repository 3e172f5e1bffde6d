"""From the broker into the store: commit first, then acknowledge."""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge_sdk import topics
from edge_sdk.errors import BrokerUnavailable, ConfigError, MessageError, StorageUnavailable
from edge_sdk.messages import Ack, Batch, Status, decode_batch, decode_json, encode_json
from edge_sdk.topics import DeviceTopics
from hospital_hub.store import Store
from hospital_hub.watermark import MAX_RANGES

_log = logging.getLogger(__name__)
_GROUP = 64
_QUEUE = 1024
_POLL_S = 0.2
_KEEPALIVE_S = 15
_RETRY_FIRST_S, _RETRY_MOST_S = 0.5, 30.0
_PATIENCE_S = 10.0
_PORT = 1883

Message = mqtt.MQTTMessage


class Ingest:
    """Receives what devices send, stores it, and tells them that it has.

    Args:
        broker: ``mqtt://host:port``.
        store: Where to.
        changed: Called after each commit that may change what people see.
    """

    def __init__(self, broker: str, store: Store, *, changed: Callable[[], None]) -> None:
        self._url, self._store, self._changed = broker, store, changed
        self._host, self._port = _address(broker)
        self._waiting: queue.Queue[Message] = queue.Queue(_QUEUE)
        self._stop = threading.Event()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id="edge-hub-ingest",
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self._waiting.put(message)
        self._client.reconnect_delay_set(1, int(_RETRY_MOST_S))
        self._worker = threading.Thread(target=self._work, name="ingest", daemon=True)

    def start(self) -> None:
        """Connect, subscribe, and begin.

        Raises:
            BrokerUnavailable: Nothing answers there.
        """
        try:
            self._client.connect(self._host, self._port, keepalive=_KEEPALIVE_S)
        except OSError as error:
            raise BrokerUnavailable(
                f"broker {self._url} is not reachable ({error})", remedy="start it, or correct --broker"
            ) from error
        self._client.loop_start()
        if not self._subscribed.wait(_PATIENCE_S):
            self._client.loop_stop()
            raise BrokerUnavailable(f"broker {self._url} lets us subscribe to nothing", remedy="check its access rules")
        self._worker.start()

    def stop(self) -> None:
        """Finish what has been received and leave."""
        self._stop.set()
        if self._worker.is_alive():
            self._worker.join(_PATIENCE_S)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("broker %s refused the connection (%s)", self._url, reason)
            return
        client.subscribe([(topics.every(leaf), 1) for leaf in ("observations", "status")])

    def _work(self) -> None:
        while not (self._stop.is_set() and self._waiting.empty()):
            messages = self._next_group()
            if messages:
                self._keep_trying(messages)

    def _next_group(self) -> list[Message]:
        """Return what waits, at most a group, so that many batches share one commit."""
        try:
            messages = [self._waiting.get(timeout=_POLL_S)]
        except queue.Empty:
            return []
        while len(messages) < _GROUP and not self._waiting.empty():
            messages.append(self._waiting.get())
        return messages

    def _keep_trying(self, messages: list[Message]) -> None:
        """Store a group; while the store is away nothing is acknowledged, and nothing is dropped."""
        backoff_s = _RETRY_FIRST_S
        while True:
            try:
                self._handle(messages)
            except StorageUnavailable as error:
                _log.error("%s: trying again", error)
                if self._stop.wait(random.uniform(0, backoff_s)):  # noqa: S311  # full jitter is no secret
                    return
                backoff_s = min(2 * backoff_s, _RETRY_MOST_S)
            else:
                return

    def _handle(self, messages: list[Message]) -> None:
        batches: list[tuple[DeviceTopics, Batch]] = []
        for message in messages:
            payload = bytes(message.payload)
            try:
                device, leaf = topics.parse(message.topic)
                if leaf == "observations":
                    batches.append((device, decode_batch(payload)))
                elif leaf == "status" and payload:
                    self._store.heard(device, decode_json(payload, Status))
            except MessageError as error:
                _log.warning("set aside a message on %s: %s", message.topic, error)
                self._store.quarantine(message.topic, payload, str(error))
        self._acknowledge(batches)
        for message in messages:
            self._client.ack(message.mid, message.qos)
        self._changed()

    def _acknowledge(self, batches: list[tuple[DeviceTopics, Batch]]) -> None:
        for (site, device, epoch), arrived in self._store.ingest(batches).items():
            ack = Ack(epoch=epoch, watermark=arrived.watermark, ranges=arrived.ranges[:MAX_RANGES])
            self._client.publish(DeviceTopics(site, device).ack, encode_json(ack), qos=1)


def _address(broker: str) -> tuple[str, int]:
    parts = urlsplit(broker)
    try:
        port = parts.port or _PORT
    except ValueError:
        port = 0
    if parts.scheme != "mqtt" or not parts.hostname or not port:
        raise ConfigError(f"broker address {broker!r} is not usable", remedy="write it like mqtt://host:1883")
    return parts.hostname, port
