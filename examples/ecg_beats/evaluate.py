"""Scores a bundle, or a model file, on WFDB records by EC57: detector, features and model together, as on the device.

python examples/ecg_beats/evaluate.py --db FOLDER --bundle ecg_beats.edge --trust signing.pub
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from ecg_beats.dataset import LabelledRecord, read_records
from ecg_beats.scoring import figures, score_classes, show_scores
from edge_sdk.bundle import open_bundle
from edge_sdk.ec57 import pool
from edge_sdk.errors import EdgeError
from edge_sdk.signing import load_public_key
from edge_sdk.tensors import dequantize, quantize

FloatArray = NDArray[np.float32]
Classify = Callable[[LabelledRecord], FloatArray]
console = Console()


def main() -> int:
    """Evaluate and print."""
    arguments = parse_arguments()
    try:
        classify = from_bundle(arguments) if arguments.bundle else from_keras(arguments.model)
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    records = read_records(arguments.db)
    if not records:
        print(f"error: no annotated WFDB records in {arguments.db}", file=sys.stderr)
        return 2
    scores = {record.name: score_classes(record, classify(record)) for record in records}
    show_scores(
        console, scores, title=f"{arguments.bundle or arguments.model} on {arguments.db}, EC57, first 5 minutes skipped"
    )
    if arguments.json:
        found = {**{name: figures(score) for name, score in scores.items()}, "pooled": figures(pool(scores.values()))}
        arguments.json.write_text(json.dumps(without_nan(found), indent=2) + "\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True, help="folder of WFDB records with .atr annotations")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--bundle", type=Path, help="a sealed bundle")
    which.add_argument("--model", type=Path, help="the float model, .keras")
    parser.add_argument("--trust", type=Path, help="signing.pub of the bundle's maker (default: beside the bundle)")
    parser.add_argument("--json", type=Path, help="the figures, JSON")
    return parser.parse_args()


def from_keras(path: Path) -> Classify:
    """Return what classifies with the float model."""
    import keras  # noqa: PLC0415  # slow to import, and a bundle needs none of it

    from ecg_beats.network import predict  # noqa: PLC0415

    model = keras.saving.load_model(path, compile=False)
    return lambda record: predict(model, record.waveform, record.features)


def from_bundle(arguments: argparse.Namespace) -> Classify:
    """Return what classifies with the model in a bundle, as the device would."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    key = arguments.trust or next(iter(sorted(arguments.bundle.parent.glob("**/signing.pub"))), None)
    bundle = open_bundle(arguments.bundle, trusted=[load_public_key(key)] if key else [])
    artifact = bundle.manifest.artifacts[0]
    interpreter = Interpreter(model_content=bundle.members[artifact.path], num_threads=1)
    interpreter.allocate_tensors()

    def classify(record: LabelledRecord) -> FloatArray:
        windows = {"waveform": record.waveform, "features": record.features}
        outputs = np.empty((len(record.r_index), len(bundle.manifest.output.labels)), np.float32)
        for row in range(len(outputs)):
            for detail, spec in zip(interpreter.get_input_details(), artifact.inputs, strict=True):
                interpreter.set_tensor(detail["index"], quantize(windows[spec.name][row][np.newaxis], spec))
            interpreter.invoke()
            stored = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            outputs[row] = dequantize(stored[0], artifact.outputs[0])
        return outputs

    return classify


def without_nan(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """JSON has no NaN: what could not be counted is null."""
    return {
        name: {key: None if math.isnan(value) else value for key, value in values.items()}
        for name, values in found.items()
    }


if __name__ == "__main__":
    sys.exit(main())
