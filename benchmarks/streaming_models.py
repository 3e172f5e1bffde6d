"""Models of a certain cost for `streaming.py`: convolutions over a heartbeat, with random weights.

What they answer means nothing; what a window of them costs is that of a real model of their size.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import numpy as np
import wfdb

import converters
from edge_sdk import codes
from edge_sdk.contracts import BeatWindows, InputContract, Label, ModelContract, ModelInput, OutputContract
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import windower_for

PATH = click.Path(path_type=Path)
RATE_HZ, BEFORE_S, AFTER_S = 360.0, 0.25, 0.45
# Filters of three convolutions; on a 2020s x86 core the first takes about 25 µs in int8, the second about 1 ms.
SIZES = {"small": (40, 80, 128), "large": (256, 544, 1088)}
LABELS = ("N", "S", "V")


@click.command(help=__doc__)
@click.option("--record", type=PATH, required=True, help="WFDB record, without its extension.")
@click.option("--key", type=PATH, required=True, help="signing.key to seal with.")
@click.option("--out", type=PATH, required=True, help="Folder for NAME.edge.")
def main(record: Path, key: Path, out: Path) -> None:
    """Make a bundle of each size."""
    windows = waveforms(record)
    labels = np.resize(np.arange(len(LABELS)), len(windows))
    halves = [{"waveform": windows[part::2], "labels": labels[part::2]} for part in (0, 1)]
    for name, filters in SIZES.items():
        converters.convert(
            model=model(filters, windows.shape[1:]),
            contract=contract(name, windows.shape[1:]),
            profiles=["raspberry-pi-4b"],
            evaluation=halves[0],
            calibration=halves[1],
            budget_points=100.0,
            key=key,
            out=out / f"{name}.edge",
        )


def waveforms(record: Path) -> FloatArray:
    """Return the waveforms of a recording's first beats, shape (beats, time, channels)."""
    signal = wfdb.rdrecord(str(record), channels=[0], sampto=round(300 * RATE_HZ)).p_signal[:, 0]
    windower = windower_for(contract("any", (1, 1)).input)
    return np.stack([window.waveform for window in windower.push(signal.astype(np.float32))])


def model(filters: tuple[int, ...], shape: tuple[int, ...]) -> object:
    """Return a network of convolutions."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras  # noqa: PLC0415  # heavy

    keras.utils.set_random_seed(1)
    layers = [keras.Input(shape, name="waveform")]
    for width in filters:
        layers += [keras.layers.Conv1D(width, 7, padding="same", activation="relu"), keras.layers.MaxPooling1D(2)]
    layers += [keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(len(LABELS), name="class")]
    return keras.Sequential(layers)


def contract(name: str, shape: tuple[int, ...]) -> ModelContract:
    """Return the contract of a model that reads a heartbeat's waveform."""
    return ModelContract(
        id=f"{name}-convolutions",
        version="1.0.0",
        title="Convolutions with random weights",
        input=InputContract(
            signal=SignalFormat(kind="ecg", unit="mV", channels=("MLII", "II"), sample_rate_hz=RATE_HZ),
            windows=BeatWindows(before_s=BEFORE_S, after_s=AFTER_S),
            inputs=(ModelInput(name="waveform", takes="waveform", shape=shape),),
        ),
        output=OutputContract(
            name="class",
            code=codes.BEAT_CLASS,
            labels=tuple(Label(name=label, display=label) for label in LABELS),
            activation="softmax",
        ),
    )


if __name__ == "__main__":
    main()
