from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import edge_sdk
from device_agents.memory import resident_bytes
from tests.device.bundles import SignedBundle
from tests.device.gateways import GatewayFolder

# A gateway may hold 64 MiB while it runs one ECG model, and its libraries alone hold 44. Their part is measured anew,
# because it depends on how the kernel has cached their files: right after an installation it is up to 8 MiB more.
LIMIT_MIB, LIBRARIES_MIB = 64, 44
LIBRARIES = "import numpy, paho.mqtt.client, ai_edge_litert.interpreter"
PEAK_MIB = "from device_agents.memory import resident_bytes; print(resident_bytes(peak=True) / 2**20)"


def test_an_agent_with_the_example_model_stays_small(tmp_path: Path, ecg_bundle: Path, troubled_record: Path) -> None:
    bundle = SignedBundle(path=ecg_bundle, trusted_key=ecg_bundle.with_name("signing.pub"))
    gateway = GatewayFolder.make(tmp_path / "gateway", bundle=bundle, record=troubled_record)
    report = gateway.folder / "report.json"
    program = Path(sys.executable).parent / "edge-agent"
    libraries = subprocess.run([sys.executable, "-c", f"{LIBRARIES}; {PEAK_MIB}"], capture_output=True, check=True)

    subprocess.run([program, "run", "--config", gateway.config, "--report", report], check=True)

    own_mib = json.loads(report.read_bytes())["resident_peak_mib"] - float(libraries.stdout)
    assert own_mib <= LIMIT_MIB - LIBRARIES_MIB


def test_memory_is_measured_and_its_peak_is_no_less_than_now() -> None:
    now = resident_bytes()

    assert 0 < now <= resident_bytes(peak=True)


def test_the_agent_never_loads_the_cryptography_that_its_child_uses() -> None:
    script = "import sys, edge_sdk.bundle, device_agents.__main__; print('cryptography' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert said.strip() == "False"


@pytest.mark.parametrize("name", edge_sdk.__all__)
def test_what_is_imported_late_is_there_when_it_is_asked_for(name: str) -> None:
    assert getattr(edge_sdk, name)


def test_what_the_language_does_not_have_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'telepathy'"):
        _ = edge_sdk.telepathy
