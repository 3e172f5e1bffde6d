from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from edge_sdk.signing import generate_keys

COMMAND = Path(sys.executable).parent / "edge-convert"
CONTRACT = """\
id = "tiny"
version = "1.2.3"
title = "A tiny two-input model"

[input.signal]
kind = "ecg"
unit = "mV"
channels = ["II"]
sample_rate_hz = 100.0

[input.windows]
type = "beat"
before_s = 0.3
after_s = 0.3

[[input.inputs]]
name = "waveform"
takes = "waveform"
shape = [30, 2]

[[input.inputs]]
name = "features"
takes = "features"
shape = [3]
features = ["rr_before_to_last_10", "rr_after_to_before", "usual_correlation"]
steps = [{ type = "standardize", mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0] }]

[output]
name = "logits"
activation = "softmax"
code = { system = "urn:test", code = "kind", display = "Kind" }
labels = [{ name = "low", display = "low" }, { name = "high", display = "high", abnormal = true }]
"""
MODELS = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Workbench:
    """Files of one conversion, and the command that runs it."""

    folder: Path
    model: Path
    contract: Path
    calibration: Path
    evaluation: Path
    key: Path
    target: str = "raspberry-pi-4b"
    recipe: str = "int8"
    budget_points: float = 5.0

    @property
    def out(self) -> Path:
        return self.folder / "out" / "tiny.edge"

    def with_(self, **changes: object) -> Workbench:
        return replace(self, **changes)  # type: ignore[arg-type]

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        options = {
            "--contract": self.contract,
            "--target": self.target,
            "--recipe": self.recipe,
            "--calibration": self.calibration,
            "--evaluation": self.evaluation,
            "--budget-points": self.budget_points,
            "--key": self.key,
            "--out": self.out,
        }
        words = [str(word) for option in options.items() for word in option]
        command = [COMMAND, "convert", self.model, *words, *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def windows(count: int, *, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    waveform = random.normal(0, 0.3, (count, 30, 2)) + labels[:, None, None] * np.hanning(30)[:, None]
    features = random.normal(0, 0.5, (count, 3)) + labels[:, None]
    return {"waveform": waveform.astype(np.float32), "features": features.astype(np.float32), "labels": labels}


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("materials")
    np.savez(folder / "calibration.npz", **windows(200, seed=1))
    np.savez(folder / "evaluation.npz", **windows(400, seed=2))
    (folder / "tiny.toml").write_text(CONTRACT)
    generate_keys(folder)
    return folder


@dataclass(frozen=True)
class Converted:
    """What one conversion said and wrote."""

    done: subprocess.CompletedProcess[str]
    bundle: Path
    report: Path
    figures: Path


@pytest.fixture(scope="session")
def converted(materials: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Converted]:
    """Converts the tiny model by a recipe, with report and figures: once, however many tests look at it."""

    @functools.cache
    def once(recipe: str) -> Converted:
        folder = tmp_path_factory.mktemp(recipe)
        bench = bench_in(folder, materials).with_(recipe=recipe)
        report, figures = folder / "report.html", folder / "figures.json"
        done = bench.run("--report", str(report), "--json", str(figures))
        return Converted(done=done, bundle=bench.out, report=report, figures=figures)

    return once


@pytest.fixture
def workbench(materials: Path, tmp_path: Path) -> Workbench:
    return bench_in(tmp_path, materials)


def bench_in(folder: Path, materials: Path) -> Workbench:
    return Workbench(
        folder=folder,
        model=MODELS / "tiny.keras",
        contract=materials / "tiny.toml",
        calibration=materials / "calibration.npz",
        evaluation=materials / "evaluation.npz",
        key=materials / "signing.key",
    )
