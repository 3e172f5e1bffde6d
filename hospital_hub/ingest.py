"""From the broker into the store: commit first, then acknowledge."""

from __future__ import annotations

import logging
import queue
import random
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge_sdk import topics
from edge_sdk.errors import BrokerUnavailable, ConfigError, MessageError, StorageUnavailable
from edge_sdk.messages import Ack, Latest, decode_json, encode_json
from edge_sdk.observation import Observation
from edge_sdk.topics import DeviceTopics
from hospital_hub.database import RowRefused
from hospital_hub.decoding import read_messages
from hospital_hub.live import Live
from hospital_hub.store import Delivery, SetAside, Store
from hospital_hub.watermark import MAX_RANGES

_log = logging.getLogger(__name__)
_SUBSCRIPTIONS = [(topics.every("observations"), 1), (topics.every("status"), 1), (topics.every("alarm"), 1),
                  (topics.every("latest/+"), 0)]  # fmt: skip
_GROUP = 64
_WAITING, _WAITING_BYTES = 4096, 128 * 1024 * 1024
_POLL_S = 0.2
_KEEPALIVE_S = 15
_RETRY_FIRST_S, _RETRY_MOST_S = 0.5, 30.0
_REDIAL_MOST_S = 60
_PATIENCE_S = 10.0
_PORT = 1883


@dataclass(frozen=True, slots=True)
class _Received:
    """A message and the connection it came on: its id means something else on the next one."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    connection: int


class Ingest:
    """Receives what devices send, stores it, and tells them that it has.

    Args:
        broker: ``mqtt://host:port``.
        store: Where to.
        live: What people see change.

    Raises:
        ConfigError: The broker's address is not usable.
    """

    def __init__(self, broker: str, store: Store, live: Live) -> None:
        self._url, self._store, self._live = broker, store, live
        self._host, self._port = _address(broker)
        self._waiting: queue.Queue[_Received] = queue.Queue(_WAITING)
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._connection = self._redials = 0
        self._stop, self._subscribed = threading.Event(), threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edge-hub-{store.hub[:14]}",  # 23 characters are what every MQTT 3.1.1 broker takes
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._redial_later
        self._client.on_connect_fail = self._redial_later
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
        """Store what has been received, and leave."""
        self._stop.set()
        if self._worker.is_alive():
            self._worker.join(_PATIENCE_S)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("broker %s refused the connection (%s)", self._url, reason)
            return
        self._connection, self._redials = self._connection + 1, 0
        client.subscribe(_SUBSCRIPTIONS)

    def _redial_later(self, client: mqtt.Client, *_: Any) -> None:
        """Have paho wait anything up to a limit that doubles before it tries again, so that nobody keeps step."""
        delay_s = random.randint(0, min(_REDIAL_MOST_S, 2**self._redials))  # noqa: S311  # full jitter is no secret
        self._redials = min(self._redials + 1, 10)
        client.reconnect_delay_set(delay_s, delay_s)
        if not self._stop.is_set():
            _log.warning("no connection to broker %s: trying again in %d s", self._url, delay_s)

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if not payload and message.topic.endswith("/status"):
            client.ack(message.mid, message.qos)  # somebody cleared a retained status
        elif "/latest/" in message.topic or message.topic.endswith("/alarm"):
            self._show(message.topic, payload, kept=message.retain)
            client.ack(message.mid, message.qos)
        else:
            self._keep(_Received(message.topic, payload, message.mid, message.qos, self._connection))

    def _show(self, topic: str, payload: bytes, *, kept: bool) -> None:
        """Take what is for the eyes only: the batches carry what counts."""
        try:
            device, leaf = topics.parse(topic)
            if leaf != "alarm":
                self._live.hear(device, decode_json(payload, Latest), kept=kept)
            elif not kept:
                self._live.raise_alarm(device, decode_json(payload, Observation))
        except MessageError as error:
            _log.debug("ignored a message on %s: %s", topic, error)

    def _keep(self, received: _Received) -> None:
        with self._lock:
            room = self._waiting_bytes + len(received.payload) <= _WAITING_BYTES and not self._waiting.full()
            self._waiting_bytes += len(received.payload) if room else 0
        if room:
            self._waiting.put(received)
        else:  # its device sends it again: only our own acknowledgement empties an outbox
            self._client.ack(received.mid, received.qos)
            _log.warning("too much is waiting: dropped a message on %s, which will come again", received.topic)

    def _work(self) -> None:
        while not (self._stop.is_set() and self._waiting.empty()):
            group = self._next_group()
            if group:
                self._keep_trying(group)

    def _next_group(self) -> list[_Received]:
        """Return what waits, at most a group, so that many batches share one commit."""
        try:
            group = [self._waiting.get(timeout=_POLL_S)]
        except queue.Empty:
            return []
        while len(group) < _GROUP and not self._waiting.empty():
            group.append(self._waiting.get())
        with self._lock:
            self._waiting_bytes -= sum(len(received.payload) for received in group)
        return group

    def _keep_trying(self, group: list[_Received]) -> None:
        """Store a group; while the store is away nothing is acknowledged, and nothing is dropped."""
        backoff_s = _RETRY_FIRST_S
        while True:
            try:
                self._store_group(group)
            except StorageUnavailable as error:
                _log.error("%s: trying again", error)
                if self._stop.wait(random.uniform(0, backoff_s)):  # noqa: S311  # full jitter is no secret
                    return
                backoff_s = min(2 * backoff_s, _RETRY_MOST_S)
            else:
                return

    def _store_group(self, group: list[_Received]) -> None:
        delivery = read_messages((received.topic, received.payload) for received in group)
        try:
            self._commit(delivery, group)
        except RowRefused as error:
            if len(group) > 1:
                for received in group:
                    self._store_group([received])
                return
            item = SetAside(topic=group[0].topic, payload=group[0].payload, reason=str(error))
            self._commit(Delivery(set_aside=[item]), group)

    def _commit(self, delivery: Delivery, group: list[_Received]) -> None:
        arrived = self._store.commit(delivery)
        for item in delivery.set_aside:
            _log.warning("set aside something on %s: %s", item.topic, item.reason)
        for (site, device, epoch), settled in arrived.items():
            ack = Ack(epoch=epoch, watermark=settled.watermark, ranges=settled.ranges[:MAX_RANGES])
            self._client.publish(DeviceTopics(site, device).ack, encode_json(ack), qos=1)
        for received in group:
            if received.connection == self._connection:
                self._client.ack(received.mid, received.qos)
        self._live.changed()


def _address(broker: str) -> tuple[str, int]:
    try:
        parts = urlsplit(broker)
        port = parts.port if parts.port is not None else _PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "mqtt" or not parts.hostname or not port:
        raise ConfigError(f"broker address {broker!r} is not usable", remedy="write it like mqtt://host:1883")
    return parts.hostname, port
