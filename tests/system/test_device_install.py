from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.conftest import Ward
from tests.system.interpreters import NEWEST, OLDEST, interpreters

NEVER_ON_A_DEVICE = {
    "tensorflow", "keras", "torch", "onnx", "onnxruntime", "scipy", "pandas", "matplotlib", "wfdb",
    "starlette", "fastapi", "flask", "django", "aiohttp", "uvicorn", "sqlalchemy", "jinja2",
}  # fmt: skip
LIMIT_BYTES = 200 * 1000 * 1000


@pytest.fixture(scope="module")
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, request.config.rootpath], check=True
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module", params=[OLDEST, NEWEST], ids=["oldest", "newest"])
def device(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with nothing but what ``[device]`` brings."""
    found = interpreters()
    version = request.param if request.param in found else None
    if version is None and request.param == NEWEST:
        version = max(found)
    if version is None:
        if os.environ.get("CI"):
            pytest.fail(f"Python {request.param} is not on this machine")
        pytest.skip(f"Python {request.param} is not on this machine")
    folder = tmp_path_factory.mktemp("device")
    subprocess.run([found[version], "-m", "venv", folder], check=True)
    subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{wheel}[device]"],
        check=True,
    )
    return folder


def installed(device: Path) -> set[str]:
    listing = [device / "bin" / "python", "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    packages = json.loads(subprocess.run(listing, capture_output=True, check=True).stdout)
    return {package["name"].lower().replace("_", "-") for package in packages}


def test_a_device_install_brings_nothing_heavy(device: Path) -> None:
    packages = installed(device)

    assert not packages & NEVER_ON_A_DEVICE
    assert {"wearable-edge-sdk", "numpy", "paho-mqtt", "ai-edge-litert"} <= packages


def test_a_device_install_is_small(device: Path) -> None:
    without = {"pip", "setuptools"}  # the environment's own, there before us
    (site,) = (device / "lib").glob("python3.*/site-packages")
    total = sum(
        path.stat().st_size
        for path in site.rglob("*")
        if path.is_file() and not path.is_symlink() and path.relative_to(site).parts[0].split("-")[0] not in without
    )
    assert total <= LIMIT_BYTES


def test_the_agent_runs_from_a_device_install(device: Path, ward: Ward) -> None:
    ward.agent.program = device / "bin" / "edge-agent"

    ward.agent.start()
    report = ward.agent.finish()

    assert ward.hub.stored() == report["observations"] > 0
