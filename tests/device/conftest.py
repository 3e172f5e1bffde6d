from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.device.bundles import SignedBundle, make_bundle
from tests.device.gateways import GatewayFolder
from tests.device.records import BASELINE, MISSING, read_stored, write_record

RATE_HZ = 360


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> SignedBundle:
    return make_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def troubled_record(demo_record: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real minute with a gap, a line that went flat, and half a second more than whole blocks."""
    stored = read_stored(demo_record, samples=round(60.5 * RATE_HZ))
    stored[10 * RATE_HZ : 12 * RATE_HZ] = MISSING[212]
    stored[30 * RATE_HZ : 42 * RATE_HZ] = BASELINE
    assert len(np.unique(stored)) > 100
    return write_record(tmp_path_factory.mktemp("record") / "troubled", stored, base_time="10:00:00 01/03/2024")


@pytest.fixture
def gateway(tmp_path: Path, tiny_bundle: SignedBundle, troubled_record: Path) -> GatewayFolder:
    return GatewayFolder.make(tmp_path / "gateway", bundle=tiny_bundle, record=troubled_record)
