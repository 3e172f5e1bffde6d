from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from device_agents.memory import resident_bytes
from tests.device.bundles import SignedBundle
from tests.device.gateways import GatewayFolder

LIMIT_MIB = 64  # what a gateway may hold while it runs one ECG model


def test_an_agent_with_the_example_model_stays_small(tmp_path: Path, ecg_bundle: Path, troubled_record: Path) -> None:
    bundle = SignedBundle(path=ecg_bundle, trusted_key=ecg_bundle.with_name("signing.pub"))
    gateway = GatewayFolder.make(tmp_path / "gateway", bundle=bundle, record=troubled_record)
    report = gateway.folder / "report.json"

    program = Path(sys.executable).parent / "edge-agent"
    subprocess.run([program, "run", "--config", gateway.config, "--report", report], check=True)

    assert json.loads(report.read_bytes())["resident_peak_mib"] <= LIMIT_MIB


def test_memory_is_measured_and_its_peak_is_no_less_than_now() -> None:
    now = resident_bytes()

    assert 0 < now <= resident_bytes(peak=True)
