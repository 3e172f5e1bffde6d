"""Scores a bundle, or a model file, on WFDB records by EC57: detector, features and model together, as on the device.

python examples/ecg_beats/evaluate.py --db FOLDER --bundle ecg_beats.edge --trust signing.pub
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import wfdb
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from ecg_beats.dataset import record_paths
from ecg_beats.scoring import as_json, score_beats, show_scores
from edge_sdk.bundle import open_bundle
from edge_sdk.contracts import InputContract, ModelContract, OutputContract
from edge_sdk.decisions import probabilities
from edge_sdk.errors import ConfigError, EdgeError
from edge_sdk.preprocessing import prepare
from edge_sdk.settings import load_toml
from edge_sdk.signing import load_public_key
from edge_sdk.tensors import FloatArray, dequantize, quantize
from edge_sdk.windowing import windower_for

Inputs = dict[str, FloatArray]
_BLOCK = 36_000
console = Console()


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A model with its contracts; ``infer`` takes windows of shape (n, …) by input name and returns (n, labels)."""

    reads: InputContract
    answers: OutputContract
    infer: Callable[[Inputs], FloatArray]


def main() -> int:
    """Evaluate and print."""
    arguments = parse_arguments()
    try:
        classifier = from_bundle(arguments) if arguments.bundle else from_keras(arguments)
        paths = record_paths(arguments.db)
        if not paths:
            raise ConfigError(f"no annotated WFDB records in {arguments.db}", remedy="name a folder with .hea and .atr")
        with ProcessPoolExecutor(2) as pool:
            found = pool.map(partial(find_beats, reads=classifier.reads), paths)
            scores = {}
            progress = track(zip(paths, found, strict=True), "records", total=len(paths), console=console)
            for path, (times_s, inputs) in progress:
                decided = probabilities(classifier.infer(inputs), classifier.answers).argmax(axis=1)
                names = np.array([label.name for label in classifier.answers.labels])
                scores[path.name] = score_beats(path, times_s, names[decided])
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    title = f"{arguments.bundle or arguments.model} on {arguments.db}, EC57, first 5 minutes skipped"
    show_scores(console, scores, title=title)
    if arguments.json:
        arguments.json.write_text(as_json(scores))
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, required=True, help="folder of WFDB records with .atr annotations")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--bundle", type=Path, help="a sealed bundle")
    which.add_argument("--model", type=Path, help="the float model, .keras; its contract is the .toml beside it")
    parser.add_argument("--trust", type=Path, help="signing.pub of the bundle's maker (default: beside the bundle)")
    parser.add_argument("--json", type=Path, help="the figures, JSON")
    return parser.parse_args()


def find_beats(path: Path, *, reads: InputContract) -> tuple[NDArray[np.float64], Inputs]:
    """Return the seconds of a record's beats and what the model reads of each, shape (beats, …) by input name."""
    rate = reads.signal.sample_rate_hz
    samples = read_channel(path, reads)
    windower = windower_for(reads)
    windows = [window for at in range(0, len(samples), _BLOCK) for window in windower.push(samples[at : at + _BLOCK])]
    windows += windower.flush()
    prepared = [prepare(window, reads) for window in windows]
    stacked = {item.name: np.stack([inputs[item.name] for inputs in prepared]) for item in reads.inputs}
    return np.array([window.anchor_index for window in windows]) / rate, stacked


def read_channel(path: Path, reads: InputContract) -> FloatArray:
    """Return the contract's preferred channel, or the first, at the contract's rate: float32 (samples,)."""
    header = wfdb.rdheader(str(path))
    chosen = next((header.sig_name.index(name) for name in reads.signal.channels if name in header.sig_name), 0)
    samples = wfdb.rdrecord(str(path), channels=[chosen]).p_signal[:, 0]
    if header.fs != reads.signal.sample_rate_hz:
        from scipy.signal import resample_poly  # noqa: PLC0415  # wfdb brings it, and few records need it

        ratio = Fraction(reads.signal.sample_rate_hz / header.fs).limit_denominator(1000)
        samples = resample_poly(np.nan_to_num(samples), ratio.numerator, ratio.denominator)
    channel: FloatArray = samples.astype(np.float32)
    return channel


def from_keras(arguments: argparse.Namespace) -> Classifier:
    """Return the float model."""
    import keras  # noqa: PLC0415  # slow to import, and a bundle needs none of it

    model = keras.saving.load_model(arguments.model, compile=False)
    contract = load_toml(arguments.model.with_suffix(".toml"), ModelContract, what="contract")

    def infer(inputs: Inputs) -> FloatArray:
        given = [inputs[tensor.name] for tensor in model.inputs]
        answers = model.predict(given if len(given) > 1 else given[0], batch_size=4096, verbose=0)
        outputs: FloatArray = np.asarray(answers, np.float32)
        return outputs

    return Classifier(reads=contract.input, answers=contract.output, infer=infer)


def from_bundle(arguments: argparse.Namespace) -> Classifier:
    """Return the model in a bundle, run one window at a time, as the device would."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    key = arguments.trust or next(iter(sorted(arguments.bundle.parent.glob("**/signing.pub"))), None)
    bundle = open_bundle(arguments.bundle, trusted=[load_public_key(key)] if key else [])
    artifact = bundle.manifest.artifacts[0]
    interpreter = Interpreter(model_content=bundle.members[artifact.path], num_threads=1)
    interpreter.allocate_tensors()
    details = list(zip(interpreter.get_input_details(), artifact.inputs, strict=True))

    def infer(inputs: Inputs) -> FloatArray:
        outputs = []
        for row in range(len(next(iter(inputs.values())))):
            for detail, spec in details:
                interpreter.set_tensor(detail["index"], quantize(inputs[spec.name][row][np.newaxis], spec))
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
        return dequantize(np.stack(outputs), artifact.outputs[0])

    return Classifier(reads=bundle.manifest.input, answers=bundle.manifest.output, infer=infer)


if __name__ == "__main__":
    sys.exit(main())
