"""The architectures of the conversion matrix, each in Keras and in PyTorch, small enough to be converted in a second.

Weights are random but the same every time; windows are of a real ECG. What is asked of a conversion is that it computes
what the source computes, and for that training makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SAMPLES = 96
OUTPUTS = 3


def keras_models() -> dict[str, Callable[[], Any]]:
    """Return the builders, by architecture."""
    import keras
    from keras import layers

    def model(body: Callable[[Any], Any], shape: tuple[int, ...] = (SAMPLES, 1)) -> Callable[[], Any]:
        def build() -> Any:
            keras.utils.set_random_seed(7)
            given = keras.Input(shape, name="waveform")
            return keras.Model(given, layers.Dense(OUTPUTS, name="answers")(body(given)))

        return build

    def cnn(x: Any) -> Any:
        for filters in (8, 16):
            x = layers.Conv1D(filters, 5, padding="same", use_bias=False)(x)
            x = layers.MaxPooling1D(2)(layers.ReLU()(layers.BatchNormalization()(x)))
        return layers.GlobalAveragePooling1D()(x)

    def cnn_2d(x: Any) -> Any:
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
        return layers.Flatten()(layers.MaxPooling2D(2)(x))

    def depthwise(x: Any) -> Any:
        x = layers.Conv1D(8, 3, padding="same", activation="relu")(x)
        x = layers.SeparableConv1D(12, 5, padding="same", activation="relu")(x)
        return layers.GlobalAveragePooling1D()(x)

    def residual(x: Any) -> Any:
        x = layers.Conv1D(8, 3, padding="same")(x)
        inner = layers.Conv1D(8, 3, padding="same", activation="relu")(x)
        x = layers.ReLU()(layers.Add()([x, layers.Conv1D(8, 3, padding="same")(inner)]))
        return layers.GlobalAveragePooling1D()(x)

    def steps(x: Any) -> Any:
        return layers.Reshape((SAMPLES // 4, 4))(x)

    def attention(x: Any) -> Any:
        x = layers.Dense(8)(steps(x))
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
        return layers.GlobalAveragePooling1D()(x)

    return {
        "cnn-1d": model(cnn),
        "cnn-2d": model(cnn_2d, (SAMPLES // 8, 8, 1)),
        "depthwise": model(depthwise),
        "residual": model(residual),
        "lstm": model(lambda x: layers.LSTM(8)(steps(x))),
        "gru": model(lambda x: layers.GRU(8)(steps(x))),
        "attention": model(attention),
        "linear": model(layers.Flatten()),
        "logistic": model(lambda x: layers.Activation("sigmoid")(layers.Dense(OUTPUTS)(layers.Flatten()(x)))),
    }


def torch_models() -> dict[str, Callable[[], Any]]:
    """Return the builders, by architecture: as PyTorch has them, channels first but for linear models."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.inner = nn.Conv1d(1, 8, 3, padding=1), nn.Conv1d(8, 8, 3, padding=1)
            self.outer, self.answers = nn.Conv1d(8, 8, 3, padding=1), nn.Linear(8, OUTPUTS)

        def forward(self, x: Any) -> Any:
            x = self.first(x)
            return self.answers(torch.relu(x + self.outer(torch.relu(self.inner(x)))).mean(dim=-1))

    class Recurrent(nn.Module):
        def __init__(self, kind: Any) -> None:
            super().__init__()
            self.loop, self.answers = kind(4, 8, batch_first=True), nn.Linear(8, OUTPUTS)

        def forward(self, x: Any) -> Any:
            return self.answers(self.loop(x.reshape(-1, SAMPLES // 4, 4))[0][:, -1])

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.answers = nn.Linear(4, 8), nn.Linear(8, OUTPUTS)
            self.look, self.norm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)

        def forward(self, x: Any) -> Any:
            x = self.first(x.reshape(-1, SAMPLES // 4, 4))
            return self.answers(self.norm(x + self.look(x, x, x, need_weights=False)[0]).mean(dim=1))

    def seeded(make: Callable[[], Any]) -> Callable[[], Any]:
        def build() -> Any:
            torch.manual_seed(7)
            model = make().eval()
            for weights in model.parameters():  # as Keras begins: PyTorch's own leave answers that hardly vary
                (nn.init.xavier_uniform_ if weights.ndim > 1 else nn.init.zeros_)(weights)
            for norm in (part for part in model.modules() if isinstance(part, (nn.BatchNorm1d, nn.LayerNorm))):
                nn.init.ones_(norm.weight)
            return model

        return build

    def cnn() -> Any:
        blocks = [
            layer
            for given, filters in ((1, 8), (8, 16))
            for layer in (
                nn.Conv1d(given, filters, 5, padding=2, bias=False),
                nn.BatchNorm1d(filters),
                nn.ReLU(),
                nn.MaxPool1d(2),
            )
        ]
        return nn.Sequential(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, OUTPUTS))

    def cnn_2d() -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * (SAMPLES // 16) * 4, OUTPUTS),
        )

    def depthwise() -> Any:
        return nn.Sequential(
            nn.Conv1d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(8, 8, 5, padding=2, groups=8),
            nn.Conv1d(8, 12, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(12, OUTPUTS),
        )

    return {
        name: seeded(make)
        for name, make in {
            "cnn-1d": cnn,
            "cnn-2d": cnn_2d,
            "depthwise": depthwise,
            "residual": Residual,
            "lstm": lambda: Recurrent(nn.LSTM),
            "gru": lambda: Recurrent(nn.GRU),
            "attention": Attention,
            "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(SAMPLES, OUTPUTS)),
            "logistic": lambda: nn.Sequential(
                nn.Flatten(), nn.Linear(SAMPLES, OUTPUTS), nn.Sigmoid(), nn.Linear(OUTPUTS, OUTPUTS)
            ),
        }.items()
    }
