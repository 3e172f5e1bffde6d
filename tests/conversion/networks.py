"""Small PyTorch networks of every kind, with random weights, and the contracts they fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edge_sdk.codes import Code
from edge_sdk.contracts import FixedWindows, InputContract, ModelContract, ModelInput, OutputContract, OutputQuantity
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray

# What PyTorch's exporter and TensorFlow's quantizer say about their own code.
NOISE = pytest.mark.filterwarnings(
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
    r"ignore:\s*Warning. tf.lite.Interpreter is deprecated",
    "ignore:The tensor attributes .* were assigned during export",
)
TIME, CHANNELS, ANSWERS = 16, 2, 3
STEPS = 6  # of recurrent networks, whose loops are written out


class Sequential(nn.Sequential):
    """Layers, then the mean over time, then one dense layer."""

    def forward(self, x: Any) -> Any:
        *layers, last = self
        for layer in layers:
            x = layer(x)
        return last(x.mean(-1))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(CHANNELS, 8, 3, padding=1)
        self.inner = nn.Sequential(
            nn.Conv1d(8, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 3, padding=1)
        )
        self.last = nn.Linear(8, ANSWERS)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.first(x))
        return self.last(torch.relu(x + self.inner(x)).mean(-1))


class Recurrent(nn.Module):
    def __init__(self, kind: Callable[..., Any]) -> None:
        super().__init__()
        self.loop, self.last = kind(CHANNELS, 8, batch_first=True), nn.Linear(8, ANSWERS)

    def forward(self, x: Any) -> Any:
        return self.last(self.loop(x)[0][:, -1])


class DenseOverTime(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(CHANNELS, 8), nn.Linear(8, ANSWERS)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(self.first(x)).mean(1))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(CHANNELS, 8), nn.LayerNorm(8), nn.Linear(8, ANSWERS)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        return self.last(self.norm(x + self.attention(x, x, x, need_weights=False)[0]).mean(1))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(CHANNELS, 8, 3, padding=1), nn.Linear(8 + 3, ANSWERS)

    def forward(self, features: Any, waveform: Any) -> Any:
        return self.last(torch.cat([torch.relu(self.first(waveform)).mean(-1), features], 1))


@dataclass(frozen=True, kw_only=True)
class Network:
    """How to make a network, what its ``forward`` takes, by name, and how the contract has it."""

    make: Callable[[], nn.Module]
    takes: dict[str, tuple[int, ...]]
    reads: dict[str, tuple[int, ...]]

    def contract(self) -> ModelContract:
        return contract(self.reads)

    def module(self, seed: int = 1) -> nn.Module:
        torch.manual_seed(seed)
        network = self.make()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm1d):  # as after training
                part.running_mean.uniform_(-0.5, 0.5)
                part.running_var.uniform_(0.5, 2)
        return network.eval()

    def export(self, path: Path, *, batch: int | None = 1, module: nn.Module | None = None) -> Path:
        """Write the exported program; a batch of ``None`` is an open one."""
        example = {name: torch.zeros((batch or 2, *shape)) for name, shape in self.takes.items()}
        opened = {name: {0: torch.export.Dim("batch")} for name in example}
        program = torch.export.export(
            module or self.module(), tuple(example.values()), dynamic_shapes=None if batch else opened
        )
        torch.export.save(program, path)
        return path


def _convolution() -> nn.Module:
    layers = [nn.Conv1d(CHANNELS, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)]
    return Sequential(*layers, nn.Conv1d(8, 8, 3, padding=1), nn.ReLU(), nn.Linear(8, ANSWERS))


def _depthwise() -> nn.Module:
    layers = [nn.Conv1d(CHANNELS, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 8, 5, padding=2, groups=8), nn.ReLU()]
    return Sequential(*layers, nn.Conv1d(8, 12, 1), nn.ReLU(), nn.Linear(12, ANSWERS))


def _image() -> nn.Module:
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, ANSWERS))


_FIRST, _LAST = {"x": (CHANNELS, TIME)}, {"x": (TIME, CHANNELS)}
_SHORT = {"x": (STEPS, CHANNELS)}
NETWORKS = {
    "linear": Network(make=lambda: nn.Linear(6, ANSWERS), takes={"input": (6,)}, reads={"x": (6,)}),
    "convolution": Network(make=_convolution, takes=_FIRST, reads=_LAST),
    "depthwise": Network(make=_depthwise, takes=_FIRST, reads=_LAST),
    "residual": Network(make=Residual, takes=_FIRST, reads=_LAST),
    "image": Network(make=_image, takes={"input": (1, 12, 10)}, reads={"x": (12, 10, 1)}),
    "lstm": Network(make=lambda: Recurrent(nn.LSTM), takes=_SHORT, reads=_SHORT),
    "gru": Network(make=lambda: Recurrent(nn.GRU), takes=_SHORT, reads=_SHORT),
    "dense over time": Network(make=DenseOverTime, takes=_LAST, reads=_LAST),
    "attention": Network(make=Attention, takes=_LAST, reads=_LAST),
    "two inputs": Network(
        make=TwoInputs,
        takes={"features": (3,), "waveform": (CHANNELS, TIME)},
        reads={"waveform": (TIME, CHANNELS), "features": (3,)},
    ),
}


def contract(reads: dict[str, tuple[int, ...]], *, answers: int = ANSWERS) -> ModelContract:
    """Return a contract for inputs of these shapes, and as many quantities."""
    inputs = tuple(
        ModelInput(name=name, takes="features", shape=shape, features=tuple("abcdefgh"[: shape[0]]))
        if len(shape) == 1
        else ModelInput(name=name, takes="waveform", shape=shape)
        for name, shape in reads.items()
    )
    signal = SignalFormat(kind="ecg", unit="mV", channels=("II",), sample_rate_hz=100.0)
    quantities = tuple(OutputQuantity(name=f"q{index}", display="Q", unit="1") for index in range(answers))
    return ModelContract(
        id="net",
        version="1.0.0",
        title="A network",
        input=InputContract(windows=FixedWindows(length_s=1, hop_s=1), inputs=inputs, signal=signal),
        output=OutputContract(
            name="answer", code=Code(system="urn:test", code="q", display="Q"), quantities=quantities
        ),
    )


def windows(reads: dict[str, tuple[int, ...]], count: int, *, seed: int) -> dict[str, FloatArray]:
    """Return random windows for inputs of these shapes."""
    random = np.random.default_rng(seed)
    return {name: random.normal(0, 1, (count, *shape)).astype(np.float32) for name, shape in reads.items()}
