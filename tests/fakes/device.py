"""A device that speaks the wire format and keeps nothing: the agent's side of the protocol, in memory."""

from __future__ import annotations

import queue
import threading
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge_sdk import codes
from edge_sdk.messages import Ack, Batch, Entry, Latest, Status, Tombstone, decode_json, encode_batch, encode_json
from edge_sdk.observation import (
    Classification,
    ClockQuality,
    ModelRef,
    Observation,
    Priority,
    Quantity,
    SampledData,
    Value,
)
from edge_sdk.topics import DeviceTopics

EPOCH = "e" * 32
START_NS = 1_700_000_000 * 10**9
MODEL = ModelRef(id="ecg-beats", version="1.0.0", bundle_sha256="0" * 64, runtime="ai-edge-litert 2.3.0")


class FakeDevice:
    def __init__(self, broker: str, *, site: str, device: str) -> None:
        self.topics = DeviceTopics(site, device)
        self.acks: queue.Queue[Ack] = queue.Queue()
        self.topics_heard: set[str] = set()
        self.broker = broker
        host, port = broker.removeprefix("mqtt://").split(":")
        ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"fake-{device}")
        self._client.on_connect = lambda client, *_: client.subscribe(self.topics.ack, qos=1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._on_message
        self._client.connect(host, int(port))
        self._client.loop_start()
        assert ready.wait(10)

    def send(self, *entries: Entry, floor: int = 1, epoch: str = EPOCH, tombstones: tuple[Tombstone, ...] = ()) -> None:
        batch = Batch(epoch=epoch, floor=floor, entries=entries, tombstones=tombstones)
        self.send_raw(encode_batch(batch))

    def send_raw(self, payload: bytes) -> None:
        self._client.publish(self.topics.observations, payload, qos=1)

    def say(self, status: Status) -> None:
        self._client.publish(self.topics.status, encode_json(status), qos=1, retain=True)

    def publish_latest(self, latest: Latest) -> None:
        self._client.publish(self.topics.latest(latest.code), encode_json(latest), retain=True)

    def raise_alarm(self, observation: Observation) -> None:
        self._client.publish(self.topics.alarm, encode_json(observation), qos=1)

    def acknowledged(self, *, timeout_s: float = 15) -> Ack:
        return self.acks.get(timeout=timeout_s)

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.topics_heard.add(message.topic)
        if message.topic == self.topics.ack:
            self.acks.put(decode_json(bytes(message.payload), Ack))


def observed(value: Value | None, *, code: codes.Code, at_s: float = 0.0, **changes: Any) -> Observation:
    facts: dict[str, Any] = {
        "code": code,
        "value": value,
        "effective_time_ns": START_NS + round(at_s * 1e9),
        "stream": "ecg",
        "subject": "patient-1",
        "clock": ClockQuality.SYNCHRONIZED,
        "quality": 1.0,
        **changes,
    }
    return Observation(**facts)


def heart_rate(per_minute: float, *, at_s: float = 0.0) -> Observation:
    return observed(Quantity(per_minute, codes.PER_MINUTE), code=codes.HEART_RATE, at_s=at_s)


def beat(label: str = "N", *, at_s: float = 0.0) -> Observation:
    chances = {name: 0.9 if name == label else 0.05 for name in "NSV"}
    return observed(Classification(label, chances), code=codes.BEAT_CLASS, at_s=at_s, model=MODEL)


def strip(*, at_s: float = 0.0, before_s: float = 1.5) -> Observation:
    wave = np.sin(np.linspace(0, 20, round((before_s + 1.5) * 360))).astype(np.float32)
    wave[100:110] = np.nan
    data = SampledData.from_values(wave, unit="mV", sample_rate_hz=360.0, factor=0.005, anchor_s=before_s)
    return observed(data, code=codes.ECG_LEAD_II, at_s=at_s - before_s)


def unknown() -> Observation:
    return observed(None, code=codes.SIGNAL_QUALITY, absent_reason="flat line", quality=0.0)


def alarm() -> Observation:
    code = codes.Code(codes.LOCAL, "ventricular-run", "Run of ventricular beats")
    return observed(Quantity(3, "1"), code=code, priority=Priority.ALARM)


def numbered(*observations: Observation, first: int = 1) -> list[Entry]:
    return [Entry(seq, item) for seq, item in enumerate(observations, start=first)]
