"""What conversion gives and costs: every recipe beside float32 on the ECG example, and ours beside a bare script.

The bare script loads the model, exports it and runs ``TFLiteConverter`` for int8 on the same calibration windows: what
people write by hand, without a check. Ours does the same work, import, quantization and compilation; verification and
sealing are timed apart. Both run as processes of their own, in turns; memory is the peak that the kernel reports.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import converters
from edge_sdk.signing import generate_keys

EXAMPLE = Path(__file__).parent.parent / "examples" / "ecg_beats"
PROFILE = "raspberry-pi-4b"
TURNS = 3
QUIET = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

BARE = """
import sys, tempfile
import numpy as np
import tensorflow as tf
import keras
model = keras.saving.load_model(sys.argv[1], compile=False)
windows = np.load(sys.argv[2])["features"].astype(np.float32)
folder = tempfile.mkdtemp()
archive = keras.export.ExportArchive()
archive.track(model)
spec = {"features": tf.TensorSpec((1, windows.shape[1]), tf.float32, name="features")}
archive.add_endpoint("serve", lambda inputs: model(inputs, training=False), input_signature=[spec])
archive.write_out(folder, verbose=False)
converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"])
converter.optimizations = [tf.lite.Optimize.DEFAULT]
step = max(1, len(windows) // 500)
converter.representative_dataset = lambda: ({"features": windows[i : i + 1]} for i in range(0, len(windows), step))
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.int8
open(sys.argv[3], "wb").write(converter.convert())
"""
OURS = """
import sys, tempfile
from pathlib import Path
from converters.calibration import read_windows
from converters.compilers import compiler_for
from converters.importers import importer_for
from converters.optimizers.quantize import quantize_model
from converters.optimizers.recipe import load_recipe
from edge_sdk.contracts import ModelContract
from edge_sdk.profiles import load_profile
from edge_sdk.settings import load_toml
model, contract, calibration, profile, out = sys.argv[1:]
reads = load_toml(Path(contract), ModelContract, what="model contract")
source = importer_for(Path(model))(Path(model), reads, Path(tempfile.mkdtemp()))
windows = read_windows(calibration, reads, labelled=False)
board = load_profile(profile)
compiled = compiler_for(board)(quantize_model(source, load_recipe("int8"), windows), board)
open(out, "wb").write(compiled.data)
"""


def main() -> int:
    """Run both parts, print their tables, and write JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        recipes, costs = every_recipe(place), cost(place)
    Console().print(recipes_table(recipes))
    Console().print(cost_table(costs))
    if arguments.json:
        arguments.json.write_text(json.dumps({"recipes": recipes, "cost": costs}, indent=2) + "\n")
    return 0


def every_recipe(folder: Path) -> list[dict[str, Any]]:
    """Return size, agreement, loss and latency of every recipe, measured in one run."""
    generate_keys(folder)
    conversion = converters.convert(
        model=EXAMPLE / "ecg_beats.keras",
        contract=EXAMPLE / "ecg_beats.toml",
        profiles=[PROFILE],
        recipe="auto",
        calibration=EXAMPLE / "calibration.npz",
        evaluation=EXAMPLE / "evaluation.npz",
        key=folder / "signing.key",
        out=folder / "ecg_beats.edge",
    )
    return [vars(trial) for trial in conversion.trials]


def cost(folder: Path) -> dict[str, dict[str, float]]:
    """Return wall time and peak memory of the bare script, of ours, and of the whole command, medians."""
    runs: dict[str, list[tuple[float, float]]] = {}
    calibration, model = EXAMPLE / "calibration.npz", EXAMPLE / "ecg_beats.keras"
    contract = EXAMPLE / "ecg_beats.toml"
    whole = [
        Path(sys.executable).parent / "edge-convert",
        "convert",
        model,
        "--contract",
        contract,
        "--profile",
        PROFILE,
    ]
    whole += ["--calibration", calibration, "--evaluation", EXAMPLE / "evaluation.npz", "--key", folder / "signing.key"]
    commands: dict[str, list[str | Path]] = {
        "bare TFLiteConverter": [sys.executable, "-c", BARE, model, calibration, folder / "bare.tflite"],
        "ours, the same work": [sys.executable, "-c", OURS, model, contract, calibration, PROFILE, folder / "a.tflite"],
        "edge-convert convert, all": [*whole, "--out", folder / "all.edge"],
    }
    for _ in range(TURNS):
        for name, command in commands.items():
            runs.setdefault(name, []).append(measured(command))
    return {
        name: {
            "wall_s": statistics.median(wall for wall, _ in turns),
            "peak_mib": statistics.median(peak for _, peak in turns),
        }
        for name, turns in runs.items()
    }


def measured(command: list[str | Path]) -> tuple[float, float]:
    """Return wall seconds and peak MiB of a process and its children."""
    began_s = time.perf_counter()
    # Through a process of its own, since the kernel keeps one peak for all the children a process ever had.
    outer = subprocess.run(
        [sys.executable, "-c", WATCH, *command], check=True, capture_output=True, text=True, env=QUIET
    )
    return time.perf_counter() - began_s, float(outer.stdout.strip().splitlines()[-1])


WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def recipes_table(trials: list[dict[str, Any]]) -> Table:
    """Return every recipe as ratios to float32."""
    (base,) = (trial for trial in trials if trial["recipe"] == "float32")
    table = Table(title=f"ECG example for {PROFILE}: ratios to float32, one run on this machine")
    for column in ("recipe", "KiB", "size", "µs", "time", "as float", "lost, points", "outcome"):
        table.add_column(column, justify="left" if column in {"recipe", "outcome"} else "right", no_wrap=True)
    for trial in trials:
        if not trial["latency_us"]:
            table.add_row(trial["recipe"], "", "", "", "", "", "", f"{trial['outcome']}: {trial['reason']}")
            continue
        table.add_row(
            trial["recipe"],
            f"{trial['model_bytes'] / 1024:.1f}",
            f"{trial['model_bytes'] / base['model_bytes']:.2f}",
            f"{trial['latency_us']:.1f}",
            f"{trial['latency_us'] / base['latency_us']:.2f}",
            f"{trial['agreement']:.2%}",
            f"{trial['lost_points']:.2f}",
            "chosen" if trial["chosen"] else trial["outcome"],
        )
    return table


def cost_table(costs: dict[str, dict[str, float]]) -> Table:
    """Return times and memory as ratios to the bare script."""
    (base, *_) = costs.values()
    table = Table(title="One int8 conversion, whole processes, median of the turns")
    for column in ("", "seconds", "ratio", "peak MiB", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in costs.items():
        table.add_row(
            name,
            f"{found['wall_s']:.1f}",
            f"{found['wall_s'] / base['wall_s']:.2f}",
            f"{found['peak_mib']:.0f}",
            f"{found['peak_mib'] / base['peak_mib']:.2f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
