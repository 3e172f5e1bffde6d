"""Every cell of the conversion matrix: one format, architecture, recipe and board, and what comes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration import WindowSet
from converters.compilers.coral.forecast import forecast
from converters.importers import importer_for
from converters.models import FloatModel
from converters.optimizers.recipe import Recipe, load_recipe
from converters.windows import Windows
from converters.workshop import Workshop
from edge_sdk.codes import Code
from edge_sdk.contracts import FixedWindows, InputContract, ModelContract, ModelInput, OutputContract, OutputQuantity
from edge_sdk.errors import ConversionError, EdgeError, VerificationError
from edge_sdk.profiles import HardwareProfile, load_profile
from edge_sdk.signals import SignalFormat
from edge_sdk.tensors import FloatArray
from tests.conversion.matrix.architectures import OUTPUTS, SAMPLES, keras_models, torch_models

RATE_HZ = 96.0
# A conversion is done if it keeps all but this much of the variance of what the source answers.
BUDGET_POINTS = 5.0
WINDOWS = 200

Save = Callable[[Any, Path], Path]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What came of one conversion.

    Attributes:
        source: The format.
        architecture: The architecture.
        recipe: The recipe.
        profile: The board.
        outcome: ``done``; for Coral, whose compiler is not here, how many operators the Edge TPU is forecast to run; or
            why it was refused.
        done: Whether it was.
    """

    source: str
    architecture: str
    recipe: str
    profile: str
    outcome: str
    done: bool


def formats() -> dict[str, Save]:
    """Return how each format's file is written from a model of its framework."""
    return {
        "keras": _save_keras,
        "saved-model": _save_saved_model,
        "onnx": _save_onnx,
        "tflite": _save_tflite,
        "pytorch": _save_program,
    }


def cells(source: str, architecture: str, *, places: Iterable[tuple[str, str]], samples: FloatArray) -> Iterator[Cell]:
    """Convert one model by recipes for boards.

    Args:
        source: One of `formats`.
        architecture: One of `keras_models`.
        places: Recipe and board of each cell.
        samples: A real ECG, shape (n,), of which windows are cut.
    """
    builders = torch_models() if source == "pytorch" else keras_models()
    shape = (SAMPLES // 8, 8, 1) if architecture == "cnn-2d" else (SAMPLES, 1)
    inputs = {"waveform": _windows(samples).reshape(-1, *shape)}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        path = formats()[source](builders[architecture](), place)
        shop = _shop(importer_for(path)(path, _contract(shape), place), inputs, place)
        for recipe, slug in places:
            try:
                outcome, done = _converted(shop, load_recipe(recipe), load_profile(slug)), True
            except EdgeError as error:
                outcome, done = _reason(error).replace(f"'{recipe}' ", "").replace(path.name, "the file"), False
            yield Cell(
                source=source, architecture=architecture, recipe=recipe, profile=slug, outcome=outcome, done=done
            )


def _converted(shop: Workshop, recipe: Recipe, profile: HardwareProfile) -> str:
    if profile.runtime.backend != "edgetpu":
        shop.make(recipe, profile)
        return "done"
    expected = forecast(shop.optimize(recipe, profile).data)
    if expected.refusals:
        raise ConversionError(f"the Edge TPU compiler does not take it: {expected.refusals[0].reason}")
    if not expected.mapped:
        raise ConversionError("nothing of it runs on the Edge TPU")
    return f"{expected.mapped} of {len(expected.operators)}"


def _reason(error: EdgeError) -> str:
    """Return why, without the figures that differ from model to model."""
    if isinstance(error, VerificationError):
        return "loses more than the budget allows"
    return error.problem.partition("' cannot be applied")[2].strip(" ():") or error.problem


def _shop(model: FloatModel, inputs: dict[str, FloatArray], folder: Path) -> Workshop:
    targets = model.predict(inputs)
    windows = WindowSet(inputs=inputs, targets=targets)
    return Workshop(
        model,
        Windows(evaluation=windows, calibration=windows, training=windows),
        budget_points=BUDGET_POINTS,
        folder=folder,
    )


def _windows(samples: FloatArray) -> FloatArray:
    starts = np.linspace(0, len(samples) - SAMPLES, WINDOWS).astype(np.int64)
    windows = np.stack([samples[start : start + SAMPLES] for start in starts])
    scaled: FloatArray = ((windows - windows.mean(axis=1, keepdims=True)) / windows.std()).astype(np.float32)
    return scaled


def _contract(shape: tuple[int, ...]) -> ModelContract:
    quantities = tuple(OutputQuantity(name=f"q{index}", display="a number", unit="1") for index in range(OUTPUTS))
    return ModelContract(
        id="matrix",
        version="1.0.0",
        title="A cell of the matrix",
        input=InputContract(
            signal=SignalFormat(kind="ecg", unit="mV", channels=("II",), sample_rate_hz=RATE_HZ),
            windows=FixedWindows(length_s=1.0, hop_s=1.0),
            inputs=(ModelInput(name="waveform", takes="waveform", shape=shape),),
        ),
        output=OutputContract(name="answers", code=Code("urn:test", "q", "q"), quantities=quantities),
    )


def _save_keras(model: Any, folder: Path) -> Path:
    model.save(folder / "model.keras")
    return folder / "model.keras"


def _save_saved_model(model: Any, folder: Path) -> Path:
    model.export(folder / "saved", verbose=False)
    return folder / "saved"


def _save_onnx(model: Any, folder: Path) -> Path:
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports only what was called once
    model.export(folder / "model.onnx", format="onnx", verbose=False)
    return folder / "model.onnx"


def _save_tflite(model: Any, folder: Path) -> Path:
    from converters.importers.keras import Origin, float_model

    shape = model.input_shape[1:]
    made = float_model(model, _contract(shape), folder, Origin(name="model", sha256="0" * 64, size_bytes=0))
    (folder / "model.tflite").write_bytes(made.flatbuffer)
    return folder / "model.tflite"


def _save_program(model: Any, folder: Path) -> Path:
    import torch

    example = torch.zeros(_example_shape(model))
    torch.export.save(torch.export.export(model, (example,)), folder / "model.pt2")
    return folder / "model.pt2"


def _example_shape(model: Any) -> tuple[int, ...]:
    from torch import nn

    first = next(model.children())
    if isinstance(first, nn.Conv2d):
        return (1, 1, SAMPLES // 8, 8)
    return (1, 1, SAMPLES) if isinstance(first, nn.Conv1d) else (1, SAMPLES, 1)
