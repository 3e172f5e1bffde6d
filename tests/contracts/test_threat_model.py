"""The broker that the threat model describes, with the very files it prints."""

import gc
import getpass
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device_agents.broker import Broker, Connection
from device_agents.config import BrokerConfig
from edge_sdk.errors import BrokerUnavailable
from edge_sdk.topics import LEAVES, DeviceTopics
from tests.system.processes import free_port, wait_until

DOCUMENT = Path(__file__).parents[2] / "docs" / "threat-model.md"
OURS, OTHERS = DeviceTopics("ward-3", "gw-1"), DeviceTopics("ward-3", "gw-2")
FROM_DEVICE = ("observations", "alarm", "latest", "status", "reported")


@dataclass
class Ward:
    """A running broker."""

    folder: Path
    tls_port: int
    port: int
    heard: list[bytes] = field(default_factory=list)

    def as_device(self, device: DeviceTopics = OURS, *, says: str = "one", ca: str = "ca.pem") -> Connection:
        (self.folder / "password").write_text(says)
        config = BrokerConfig(
            url=f"mqtts://localhost:{self.tls_port}",
            ca_file=self.folder / ca,
            username=device.device,
            password_file=self.folder / "password",
        )
        return Broker(config, client_id="ward-3-gw-1", on_message=self.heard.append).connect()

    def as_hub(self, on_message: Callable[[bytes], None]) -> Connection:
        config = BrokerConfig(url=f"mqtt://127.0.0.1:{self.port}")
        return Broker(config, client_id="hub", on_message=on_message).connect()


def certificate(folder: Path) -> None:
    """Write a certificate for ``localhost`` that is its own authority, and one of somebody else's."""
    for name in ("ca", "stranger"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(timezone.utc)
        made = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        if name == "ca":
            (folder / "server.pem").write_bytes((folder / "ca.pem").read_bytes())
            (folder / "server.key").write_bytes(private)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    ward = Ward(tmp_path_factory.mktemp("broker"), tls_port=free_port(), port=free_port())
    blocks = re.findall(r"```\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (config,) = (block for block in blocks if block.startswith("per_listener_settings"))
    (rules,) = (block for block in blocks if block.startswith("pattern"))
    config = config.replace("/etc/mosquitto", str(ward.folder))
    config = config.replace("8883", str(ward.tls_port)).replace("1883", str(ward.port))
    (ward.folder / "mosquitto.conf").write_text(f"{config}\nuser {getpass.getuser()}\n")
    (ward.folder / "devices.acl").write_text(rules)
    certificate(ward.folder)
    passwords = ward.folder / "passwords"
    passwords.touch(mode=0o600)
    for device in (OURS, OTHERS):
        subprocess.run(["mosquitto_passwd", "-b", passwords, device.device, "one"], check=True)
    binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with (ward.folder / "log").open("wb") as log:
        broker = subprocess.Popen([binary, "-c", ward.folder / "mosquitto.conf"], stderr=log, stdout=log)
    wait_until(lambda: _answers(ward), what="the broker", timeout_s=20)
    yield ward
    broker.terminate()
    broker.wait()


def _answers(ward: Ward) -> bool:
    try:
        ward.as_hub(lambda _payload: None).close()
    except BrokerUnavailable:
        return False
    return True


def serve(*connections: Connection, until: Callable[[], bool] = lambda: False, timeout_s: float = 0.5) -> None:
    deadline = time.monotonic() + timeout_s
    while not until() and time.monotonic() < deadline:
        for connection in connections:
            connection.serve(timeout_s=0.02)


def topic(device: DeviceTopics, leaf: str) -> str:
    return device.latest("8867-4") if leaf == "latest" else getattr(device, leaf)


def test_a_device_is_heard_on_its_own_topics_alone(ward: Ward):
    received: list[bytes] = []
    expected = {f"our {leaf}".encode() for leaf in FROM_DEVICE}
    with closing(ward.as_hub(received.append)) as hub, closing(ward.as_device()) as device:
        hub.subscribe("edge/v1/#")
        serve(hub, device)
        for name, owner in (("other", OTHERS), ("our", OURS)):
            for leaf in LEAVES:
                device.publish(topic(owner, leaf), f"{name} {leaf}".encode())
        serve(hub, device, until=lambda: expected <= set(received), timeout_s=10)
        serve(hub, device)
    assert set(received) == expected


def test_a_device_hears_the_hub_on_its_own_topics_alone(ward: Ward):
    ward.heard.clear()
    expected = {b"gw-1 ack", b"gw-1 desired"}
    with closing(ward.as_hub(lambda _payload: None)) as hub, closing(ward.as_device()) as device:
        for wanted in ("edge/v1/#", OURS.ack, OURS.desired, OTHERS.ack, OTHERS.observations):
            device.subscribe(wanted)
        serve(hub, device)
        for owner in (OTHERS, OURS):
            for leaf in ("ack", "desired", "observations"):
                hub.publish(topic(owner, leaf), f"{owner.device} {leaf}".encode())
        serve(hub, device, until=lambda: expected <= set(ward.heard), timeout_s=10)
        serve(hub, device)
    assert set(ward.heard) == expected


def test_a_device_cannot_throw_another_off_by_its_client_id(ward: Ward):
    with closing(ward.as_device()) as ours, closing(ward.as_device(OTHERS)):
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            assert ours.serve(timeout_s=0.02)


def test_a_wrong_password_is_refused(ward: Ward):
    with pytest.raises(BrokerUnavailable, match="refuses the connection"):
        ward.as_device(says="two")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves that socket to the collector
def test_a_broker_that_only_a_stranger_vouches_for_is_refused(ward: Ward):
    with pytest.raises(BrokerUnavailable, match="certificate"):
        ward.as_device(ca="stranger.pem")
    gc.collect()
