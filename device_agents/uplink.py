"""From the outbox to the hospital, again and again until it says that it has it.

One thread does the network and the sending. Alarms go first. A broker's PUBACK changes nothing here, since a broker
can die with what it has confirmed: only the hub's acknowledgement empties the outbox.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence

from device_agents.broker import Broker, Connection
from device_agents.config import BrokerConfig
from device_agents.delivery import Delivery, full_jitter_s
from device_agents.latest import LatestValues
from device_agents.outbox import Outbox
from edge_sdk.errors import BrokerUnavailable, EdgeError, MessageError
from edge_sdk.messages import (
    Ack,
    RawBatch,
    RawEntry,
    Status,
    Tombstone,
    decode_json,
    decode_observation,
    encode_batch,
    encode_json,
)
from edge_sdk.topics import DeviceTopics

_BATCH_ENTRIES, _BATCH_BYTES = 500, 256 * 1024
_TOMBSTONES = 100
_POLL_S = 0.05
_STATUS_EVERY_S = 5.0
_TOMBSTONES_EVERY_S = 1.0
_log = logging.getLogger(__name__)


class Uplink:
    """Delivers one outbox.

    Args:
        config: Which broker.
        topics: Where this device speaks.
        outbox: What to deliver.
        latest: What dashboards are shown.
        status: Says how the device is.

    Attributes:
        failure: What ended the thread, when something did that was not asked for.

    Raises:
        ConfigError: The broker's password file cannot be read.
    """

    def __init__(
        self,
        config: BrokerConfig,
        *,
        topics: DeviceTopics,
        outbox: Outbox,
        latest: LatestValues,
        status: Callable[[], Status],
    ) -> None:
        self._url, self._topics, self._outbox, self._latest, self._status = config.url, topics, outbox, latest, status
        self._delivery = Delivery(random.random)
        self._offline = Status(online=False, epoch=outbox.epoch)
        self._broker = Broker(
            config,
            client_id=f"{topics.site}-{topics.device}",
            will=(topics.status, encode_json(self._offline)),
            on_message=self._acknowledged,
        )
        self._stop = threading.Event()
        self._status_due_s = self._tombstones_due_s = 0.0
        self.failure: EdgeError | None = None
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def start(self) -> None:
        """Begin to connect and deliver."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye and end. What is not delivered stays in the outbox."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._keep_connected()
        except EdgeError as error:
            self.failure = error

    def _keep_connected(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            self._outbox.sync_if_due()
            try:
                connection = self._broker.connect()
            except BrokerUnavailable as error:
                if attempt == 0:
                    _log.warning("%s; until then observations wait in the outbox", error)
                self._wait(full_jitter_s(attempt, chance=random.random))
                attempt += 1
                continue
            attempt = 0
            self._serve(connection)

    def _wait(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while not self._stop.wait(min(1.0, max(0.0, deadline_s - time.monotonic()))):
            self._outbox.sync_if_due()
            if time.monotonic() >= deadline_s:
                return

    def _serve(self, connection: Connection) -> None:
        """Deliver until the connection breaks or we are asked to stop."""
        _log.info("connected to %s", self._url)
        self._delivery.start_over()
        self._status_due_s = 0.0
        connection.subscribe(self._topics.ack)
        while connection.serve(timeout_s=_POLL_S):
            if self._stop.is_set():
                connection.publish(self._topics.status, encode_json(self._offline), retain=True)
                connection.close()
                return
            self._outbox.sync_if_due()
            self._send_due(connection, time.monotonic())
        _log.warning("lost the connection to %s", self._url)

    def _send_due(self, connection: Connection, now_s: float) -> None:
        if self._delivery.lost_patience(now_s):
            _log.info("no acknowledgement for too long: sending again")
        self._send_lane(connection, now_s, alarms=True)
        self._send_tombstones(connection, now_s)
        self._send_lane(connection, now_s, alarms=False)
        for latest in self._latest.due(now_s):
            topic = self._topics.latest(latest.code, latest.stream if self._latest.several_streams else "")
            connection.publish(topic, encode_json(latest), qos=0, retain=True)
        if now_s >= self._status_due_s:
            connection.publish(self._topics.status, encode_json(self._status()), retain=True)
            self._status_due_s = now_s + _STATUS_EVERY_S

    def _send_lane(self, connection: Connection, now_s: float, *, alarms: bool) -> None:
        while self._delivery.sent_to(alarms=alarms) < self._outbox.durable_seq and (
            alarms or self._delivery.has_room()
        ):
            entries = self._outbox.pending(
                alarms=alarms,
                after_seq=self._delivery.sent_to(alarms=alarms),
                limit=_BATCH_ENTRIES,
                max_bytes=_BATCH_BYTES,
            )
            if not entries:
                return
            if alarms:
                for entry in entries:
                    alarm = decode_observation(bytes(entry.observation))
                    connection.publish(self._topics.alarm, encode_json(alarm))
            size_bytes = self._publish(connection, entries=entries)
            seqs = [entry.seq for entry in entries]
            self._delivery.sent(seqs, size_bytes=size_bytes, now_s=now_s, alarms=alarms)

    def _send_tombstones(self, connection: Connection, now_s: float) -> None:
        if now_s < self._tombstones_due_s:
            return
        self._tombstones_due_s = now_s + _TOMBSTONES_EVERY_S
        fresh = [
            tombstone
            for tombstone in self._outbox.tombstones(limit=_TOMBSTONES)
            if not self._delivery.is_flying(tombstone.last_seq)
        ]
        if fresh:
            size_bytes = self._publish(connection, tombstones=fresh)
            seqs = [tombstone.last_seq for tombstone in fresh]
            self._delivery.sent(seqs, size_bytes=size_bytes, now_s=now_s)

    def _publish(
        self, connection: Connection, *, entries: Sequence[RawEntry] = (), tombstones: Sequence[Tombstone] = ()
    ) -> int:
        batch = RawBatch(
            epoch=self._outbox.epoch,
            floor=self._outbox.floor,
            entries=tuple(entries),
            tombstones=tuple(tombstones),
        )
        payload = encode_batch(batch)
        connection.publish(self._topics.observations, payload)
        return len(payload)

    def _acknowledged(self, payload: bytes) -> None:
        try:
            ack = decode_json(payload, Ack)
        except MessageError as error:
            _log.warning("ignored what came as an acknowledgement: %s", error)
            return
        if self._outbox.acknowledge(ack):
            self._delivery.acknowledged(ack)
