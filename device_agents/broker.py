"""One connection to an MQTT broker: version 5, or 3.1.1 where the broker knows no better."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from device_agents.config import BrokerConfig
from edge_sdk.errors import BrokerUnavailable, ConfigError
from edge_sdk.files import read_bytes

_KEEPALIVE_S = 15
_ANSWER_S = 10.0
_PROTOCOLS = (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311)
_POLL_S = 0.02


class Connection:
    """An open connection, served by the thread that calls `serve`."""

    def __init__(self, client: mqtt.Client) -> None:
        self._client = client

    def subscribe(self, topic: str) -> None:
        """Ask for what is published on a topic, QoS 1."""
        self._client.subscribe(topic, qos=1)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand over a message; `serve` sends it."""
        self._client.publish(topic, payload, qos=qos, retain=retain)

    def serve(self, *, timeout_s: float) -> bool:
        """Send and receive for at most that long; return whether the connection still stands."""
        return self._client.loop(timeout_s) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self) -> None:
        """Send what is handed over, then leave in good order."""
        deadline_s = time.monotonic() + 1.0
        while self._client.want_write() and self.serve(timeout_s=_POLL_S) and time.monotonic() < deadline_s:
            pass
        self._client.disconnect()


class Broker:
    """Opens connections.

    Args:
        config: Which broker, and how to log in.
        client_id: Name at the broker; a second connection of that name ends the first.
        will: Topic and retained payload that the broker publishes when the connection breaks.
        on_message: Called with each payload received, from within `Connection.serve`.
        on_delivery: Called instead, with the topic and the payload.
        session_s: Seconds for which the broker keeps subscriptions, and what comes meanwhile, while we are away.

    Raises:
        ConfigError: The password file cannot be read.
    """

    def __init__(
        self,
        config: BrokerConfig,
        *,
        client_id: str,
        will: tuple[str, bytes] | None = None,
        on_message: Callable[[bytes], None] = lambda _payload: None,
        on_delivery: Callable[[str, bytes], None] | None = None,
        session_s: int = 0,
    ) -> None:
        self._config, self._client_id, self._will, self._session_s = config, client_id, will, session_s
        self._on_delivery = on_delivery or (lambda _topic, payload: on_message(payload))
        self._protocols = list(_PROTOCOLS)
        self._password: str | None = None
        if config.password_file:
            lines = read_bytes(config.password_file, what="password file").decode("utf-8", "replace").splitlines()
            self._password = lines[0] if lines else ""

    def connect(self) -> Connection:
        """Connect and log in.

        Raises:
            BrokerUnavailable: Nothing answers there, or it refuses us.
            ConfigError: The certificate authority is none.
        """
        url = self._config.url
        while True:
            answers: list[Any] = []
            client = self._client(self._protocols[0], answers)
            try:
                self._wait_for_answer(client, answers, self._protocols[0])
            except OSError as error:
                raise BrokerUnavailable(
                    f"broker {url} is not reachable ({error})", remedy="start it, or correct url under [broker]"
                ) from error
            if answers and not answers[0].is_failure:
                return Connection(client)
            if len(self._protocols) > 1 and (not answers or "protocol" in str(answers[0]).lower()):
                del self._protocols[0]  # it hung up on version 5: it may know only 3.1.1
                continue
            self._protocols = list(_PROTOCOLS)
            said = answers[0] if answers else "no answer"
            raise BrokerUnavailable(
                f"broker {url} refuses the connection ({said})",
                remedy="check username and password_file under [broker]",
            )

    def _wait_for_answer(self, client: mqtt.Client, answers: list[Any], protocol: MQTTProtocolVersion) -> None:
        host, port = self._config.address
        if self._session_s and protocol is MQTTProtocolVersion.MQTTv5:
            kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            kept.SessionExpiryInterval = self._session_s
            client.connect(host, port, keepalive=_KEEPALIVE_S, clean_start=False, properties=kept)
        else:
            client.connect(host, port, keepalive=_KEEPALIVE_S)
        deadline_s = time.monotonic() + _ANSWER_S
        while not answers and time.monotonic() < deadline_s:
            if client.loop(_POLL_S) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return

    def _client(self, protocol: MQTTProtocolVersion, answers: list[Any]) -> mqtt.Client:
        clean = None if protocol is MQTTProtocolVersion.MQTTv5 else not self._session_s  # 5.0 says so on connecting
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=protocol, clean_session=clean
        )
        if self._config.username:
            client.username_pw_set(self._config.username, self._password)
        if self._config.tls:
            try:
                client.tls_set(ca_certs=str(self._config.ca_file) if self._config.ca_file else None)
            except OSError as error:
                raise ConfigError(
                    f"{self._config.ca_file} is no certificate authority ({error})", remedy="name a PEM file"
                ) from error
        if self._will:
            client.will_set(self._will[0], self._will[1], qos=1, retain=True)
        client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
        client.on_message = lambda _client, _data, message: self._on_delivery(message.topic, bytes(message.payload))
        return client
