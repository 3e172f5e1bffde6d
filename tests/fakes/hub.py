"""A hub that remembers what it was sent and acknowledges only when told to."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge_sdk.messages import Ack, Batch, Status, Tombstone, decode_batch, decode_json, encode_json
from edge_sdk.observation import Observation
from edge_sdk.topics import DeviceTopics


class FakeHub:
    def __init__(self, broker: str, topics: DeviceTopics) -> None:
        self.topics = topics
        self.batches: list[Batch] = []
        self.alarms: list[Observation] = []
        self.statuses: list[Status] = []
        host, port = broker.removeprefix("mqtt://").split(":")
        ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="fake-hub")
        self._client.on_connect = lambda client, *_: client.subscribe(f"edge/v1/{topics.site}/{topics.device}/#", qos=1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._on_message
        self._client.connect(host, int(port))
        self._client.loop_start()
        assert ready.wait(10)

    @property
    def numbers(self) -> list[int]:
        """In the order in which they came, repeats included."""
        return [entry.seq for batch in list(self.batches) for entry in batch.entries]

    @property
    def tombstones(self) -> list[Tombstone]:
        return [tombstone for batch in list(self.batches) for tombstone in batch.tombstones]

    def acknowledge(self, watermark: int, *ranges: tuple[int, int], epoch: str = "") -> None:
        self.say(encode_json(Ack(epoch=epoch or self.batches[0].epoch, watermark=watermark, ranges=ranges)))

    def say(self, payload: bytes) -> None:
        self._client.publish(self.topics.ack, payload, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        kinds: Iterable[tuple[str, Any]] = (
            (self.topics.observations, lambda payload: self.batches.append(decode_batch(payload))),
            (self.topics.alarm, lambda payload: self.alarms.append(decode_json(payload, Observation))),
            (self.topics.status, lambda payload: self.statuses.append(decode_json(payload, Status))),
        )
        for topic, keep in kinds:
            if message.topic == topic:
                keep(bytes(message.payload))
