"""Makes the small ONNX models of these tests: ``python -m tests.conversion.data.make_onnx_models``.

They are kept, because what counts is how each exporter writes a model, and the exporters (PyTorch's two, Keras's,
scikit-learn's) take far longer than the tests. Weights are random: what is tested is that they stay what they are.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnx
import torch
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from tests.conversion.keras_networks import CLASSES, STEPS, keras_models

FOLDER = Path(__file__).parent / "onnx"
TORCHSCRIPT_OPSETS, DYNAMO_OPSETS, KERAS_OPSETS, SKLEARN_OPSETS = (9, 17), (18, 21), (12, 18), (9, 21)


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(inputs, outputs, 3, stride, padding=1),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            nn.Conv1d(outputs, outputs, 3, padding=1),
            nn.BatchNorm1d(outputs),
        )
        self.short = nn.Conv1d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.short(x))


class Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.AdaptiveAvgPool1d(1), nn.Conv1d(channels, 2, 1), nn.ReLU(), nn.Conv1d(2, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.body(x)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], *, both_ways: bool) -> None:
        super().__init__()
        self.layer = kind(2, 4, num_layers=2, batch_first=True, bidirectional=both_ways)
        self.out = nn.Linear(8 if both_ways else 4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        every, _ = self.layer(x)
        return self.out(every[:, -1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(2, 8, 4, 4)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm, self.wide, self.narrow = nn.LayerNorm(8), nn.Linear(8, 12), nn.Linear(12, 8)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).transpose(1, 2)
        q, k, v = (part(x).reshape(-1, 12, 2, 4).transpose(1, 2) for part in (self.query, self.key, self.value))
        weights = torch.softmax(q @ k.transpose(-1, -2) / 2, -1)
        x = self.norm(x + (weights @ v).transpose(1, 2).reshape(-1, 12, 8))
        x = x + self.narrow(nn.functional.gelu(self.wide(x)))
        return self.out(x.mean(1))


def torch_models() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    channels_first = (2, 48)
    return {
        "cnn1d": (
            nn.Sequential(
                nn.Conv1d(2, 4, 5, padding=2),
                nn.BatchNorm1d(4),
                nn.ReLU(),
                nn.MaxPool1d(3, 2, 1),
                nn.Conv1d(4, 6, 3, dilation=2),
                nn.ELU(),
                nn.AvgPool1d(2),
                nn.Flatten(),
                nn.Linear(60, CLASSES),
                nn.Softmax(-1),
            ),
            channels_first,
        ),
        "cnn2d": (
            nn.Sequential(
                nn.Conv2d(3, 4, 3, 2, padding=1),
                nn.BatchNorm2d(4),
                nn.LeakyReLU(0.1),
                nn.MaxPool2d(2, ceil_mode=True),
                nn.Conv2d(4, 6, (3, 2), padding=(1, 0)),
                nn.ReLU6(),
                nn.Flatten(),
                nn.Linear(36, CLASSES),
            ),
            (3, 12, 10),
        ),
        "depthwise": (
            nn.Sequential(
                nn.Conv1d(2, 8, 3, padding=1),
                nn.Hardtanh(0, 6),
                nn.Conv1d(8, 8, 5, 2, padding=2, groups=8),
                nn.BatchNorm1d(8),
                nn.ReLU(),
                Squeeze(8),
                nn.Conv1d(8, 6, 1),
                nn.AdaptiveAvgPool1d(1),
                nn.Flatten(),
                nn.Linear(6, CLASSES),
            ),
            channels_first,
        ),
        "residual": (
            nn.Sequential(
                Residual(2, 4, 1), Residual(4, 6, 2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, CLASSES)
            ),
            channels_first,
        ),
        "lstm": (Recurrent(nn.LSTM, both_ways=True), STEPS),
        "gru": (Recurrent(nn.GRU, both_ways=False), STEPS),
        "attention": (Attention(), channels_first),
        "logistic": (nn.Sequential(nn.Linear(5, CLASSES), nn.Softmax(-1)), (5,)),
    }


def save_torch() -> None:
    for name, (model, shape) in torch_models().items():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2)
        model.eval()
        example = torch.randn(2, *shape)
        names = {"input_names": ["given"], "output_names": ["answer"], "verbose": False}
        for opset in TORCHSCRIPT_OPSETS:
            path = FOLDER / f"{name}-torchscript-{opset}.onnx"
            free = {"given": {0: "batch"}}
            torch.onnx.export(model, (example,), path, dynamo=False, opset_version=opset, dynamic_axes=free, **names)
        for opset in DYNAMO_OPSETS:
            path = FOLDER / f"{name}-dynamo-{opset}.onnx"
            free = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(
                model, (example,), path, opset_version=opset, dynamic_shapes=free, external_data=False, **names
            )
            strip(path)


def strip(path: Path) -> None:
    """Take away what tells where the exporter ran."""
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    onnx.save(model, path)


def save_keras() -> None:
    for name, model in keras_models().items():
        model(np.zeros((1, *model.input_shape[1:]), np.float32))  # the exporter wants one that was called
        for opset in KERAS_OPSETS:
            model.export(FOLDER / f"{name}-keras-{opset}.onnx", format="onnx", opset_version=opset, verbose=False)


def save_sklearn() -> None:
    random = np.random.default_rng(1)
    x, kinds = random.normal(50, 20, (90, 5)).astype(np.float32), random.integers(0, CLASSES, 90)
    amounts = x[:, :CLASSES] + random.normal(0, 1, (90, CLASSES))
    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression()).fit(x, kinds),
        "linear": make_pipeline(StandardScaler(), LinearRegression()).fit(x, amounts),
        "binary": LogisticRegression().fit(x, kinds > 0),
    }
    for name, model in models.items():
        for opset in SKLEARN_OPSETS:
            proto = to_onnx(model, x[:1], target_opset=opset)
            (FOLDER / f"{name}-sklearn-{opset}.onnx").write_bytes(proto.SerializeToString())


if __name__ == "__main__":
    keras.utils.set_random_seed(1)
    torch.manual_seed(1)
    FOLDER.mkdir(exist_ok=True)
    save_torch()
    save_keras()
    save_sklearn()
