"""Every model of a folder, run by the agent's own runtime: ``python -m tests.checks.answers BACKEND FOLDER``.

Beside ``NAME.tflite`` is ``NAME.json``, its artifact, and ``NAME.npz``, its windows. Prints the answers and, where the
agent refuses the model for its minimum runtime, what it says and what the runtime would have done.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from device_agents.runtimes import load_runtime
from edge_sdk.errors import IncompatibleBundle
from edge_sdk.manifest import Artifact


def answers(backend: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return for each model what it answers and why it is refused; empty where it is not."""
    return {path.stem: _answered(backend, path) for path in sorted(folder.glob("*.tflite"))}


def _answered(backend: str, path: Path) -> dict[str, Any]:
    artifact = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Artifact)
    refused = ""
    try:
        load_runtime(path.read_bytes(), artifact, backend=backend, threads=1)
    except IncompatibleBundle as error:
        refused = str(error)
    anyway = msgspec.structs.replace(artifact, minimum_runtime="")
    try:
        runtime = load_runtime(path.read_bytes(), anyway, backend=backend, threads=1)
    except IncompatibleBundle as error:
        return {"refused": refused, "anyway": str(error), "answers": []}
    with np.load(path.with_suffix(".npz")) as windows:
        rows = [dict(zip(windows.files, row, strict=True)) for row in zip(*windows.values(), strict=True)]
    return {"refused": refused, "anyway": "", "answers": [runtime.infer(row).tolist() for row in rows]}


if __name__ == "__main__":
    print(json.dumps(answers(sys.argv[1], Path(sys.argv[2]))))  # noqa: T201
