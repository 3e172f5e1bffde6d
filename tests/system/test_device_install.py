from __future__ import annotations

import json
import os
import shutil
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
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: a build in the checkout would put what earlier builds left there into the wheel.
    source = tmp_path_factory.mktemp("source") / "checkout"
    not_built = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "examples", "tests")
    shutil.copytree(request.config.rootpath, source, ignore=not_built)
    subprocess.run([*PIP, "wheel", "-q", "--no-deps", "-w", source.parent, source], check=True)
    (built,) = source.parent.glob("*.whl")
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
    subprocess.run([found[version], "-m", "venv", "--without-pip", folder], check=True)
    subprocess.run([*PIP, "--python", folder, "install", "-q", f"{wheel}[device]"], check=True)
    return folder


def installed(device: Path) -> set[str]:
    listing = [*PIP, "--python", device, "list", "--format", "json"]
    packages = json.loads(subprocess.run(listing, capture_output=True, check=True).stdout)
    return {package["name"].lower().replace("_", "-") for package in packages}


def test_a_device_install_brings_nothing_heavy(device: Path) -> None:
    packages = installed(device)

    assert not packages & NEVER_ON_A_DEVICE
    assert {"wearable-edge-sdk", "numpy", "paho-mqtt", "ai-edge-litert"} <= packages


def test_a_device_install_is_small(device: Path) -> None:
    (site,) = (device / "lib").glob("python3.*/site-packages")
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"{site.parent.name}: {total / 1e6:.1f} MB installed")  # noqa: T201  # shown by pytest -rP

    assert total <= LIMIT_BYTES


def test_the_agent_runs_from_a_device_install(device: Path, ward: Ward) -> None:
    ward.agent.program = device / "bin" / "edge-agent"

    ward.agent.start()
    report = ward.agent.finish()

    assert ward.hub.stored() == report["observations"] > 0
