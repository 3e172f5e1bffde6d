"""Training a PyTorch model again, after pruning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration import WindowSet
from converters.importers.keras import Origin
from converters.importers.pytorch import float_model
from converters.importers.pytorch_layers import as_layers, check_batch
from converters.importers.pytorch_program import served
from converters.models import FloatModel
from converters.optimizers.recipe import Recipe, Training
from converters.optimizers.training.objective import targets_for
from converters.optimizers.training.torch_channels import without_torch_channels
from converters.optimizers.training.torch_magnitude import TorchMasks
from edge_sdk.contracts import OutputContract
from edge_sdk.errors import ConversionError

_SMALLEST = 1e-7  # a probability whose logarithm is taken

Told = Callable[[float], None]
Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True, kw_only=True)
class TorchLesson:
    """What is learned, and how.

    Attributes:
        inputs: Tensors in the contract's order, each (n, …).
        targets: (n, width).
        loss: Maps answers and targets to one number.
        settings: Epochs and the rest.
    """

    inputs: tuple[Any, ...]
    targets: Any
    loss: Loss
    settings: Training

    @property
    def steps(self) -> int:
        """How many steps the training takes."""
        return self.settings.epochs * math.ceil(len(self.targets) / self.settings.batch_size)


def train_again_torch(
    model: FloatModel, recipe: Recipe, training: WindowSet, workspace: Path, *, progress: Told
) -> FloatModel:
    """Prune a copy of a PyTorch model and train it, as a recipe says. Normalization keeps its statistics.

    The same model, recipe and windows give the same weights to the last bit, on one machine.

    Args:
        model: Its ``trainable`` is what an importer of PyTorch models made.
        recipe: Has a table ``training``.
        training: Windows to train on, as the device prepares them.
        workspace: For what is made on the way.
        progress: Told which fraction is done.

    Raises:
        ConversionError: The model takes one window at a time, its channels cannot be removed, or the recipe trains for
            rounding.
        MissingDependency: Torch-Pruning is not installed, and channels are to be removed.
        ValueError: The recipe trains nothing.
    """
    if recipe.training is None:
        raise ValueError(f"recipe '{recipe.name}' trains nothing")
    if recipe.training.quantization_aware:
        raise ConversionError(
            f"recipe '{recipe.name}' trains a model while its numbers are rounded, and a PyTorch model cannot be",
            remedy="use int8-mixed, or bring the model as Keras",
        )
    lesson = _lesson(model, training, recipe.training)
    with _one_thread():
        graph, remarks = _taught(model.trainable, recipe, lesson, progress)
    origin = Origin(name=model.source_name, sha256=model.source_sha256, size_bytes=model.source_bytes)
    network = served(graph, lambda inner, given: inner(*given), batched=True)
    tuned = float_model(network, model.contract, workspace, origin)
    return replace(tuned, predict=model.predict, remarks=(*model.remarks, *remarks))


def _lesson(model: FloatModel, training: WindowSet, settings: Training) -> TorchLesson:
    import torch  # noqa: PLC0415  # heavy, and only models of PyTorch need it

    names = [item.name for item in model.contract.input.inputs]
    targets = targets_for(model.contract.output, model.predict(training.inputs))
    return TorchLesson(
        inputs=tuple(torch.from_numpy(np.ascontiguousarray(training.inputs[name])) for name in names),
        targets=torch.from_numpy(targets),
        loss=torch_loss_for(model.contract.output, targets.std(axis=0)),
        settings=settings,
    )


def _taught(network: Any, recipe: Recipe, lesson: TorchLesson, progress: Told) -> tuple[Any, tuple[str, ...]]:
    """Return what a network becomes, and what happened in words."""
    example = tuple(values[:1] for values in lesson.inputs)
    graph, pruning = as_layers(network, example), recipe.pruning
    check_batch(graph, example, batched=network.batched)
    if pruning and pruning.method == "channels":
        graph, told = without_torch_channels(graph, example, sparsity=pruning.sparsity)
        return graph, (*told, _fit(graph, lesson, progress))
    if pruning:
        masks = TorchMasks(graph, final=pruning.sparsity, steps=lesson.steps)
        fitted = _fit(graph, lesson, progress, masks)
        return graph, (fitted, masks.summary())
    return graph, (_fit(graph, lesson, progress),)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: sums have the same order on every machine, and small networks only wait for more."""
    import torch  # noqa: PLC0415

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit(graph: Any, lesson: TorchLesson, progress: Told, masks: TorchMasks | None = None) -> str:
    """Train, and return what happened in words."""
    import torch  # noqa: PLC0415

    order, losses = torch.Generator().manual_seed(lesson.settings.seed), []
    optimizer = torch.optim.Adam(graph.parameters(), lr=lesson.settings.learning_rate)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=lesson.steps)
    count, steps = len(lesson.targets), 0
    for epoch in range(lesson.settings.epochs):
        total = 0.0
        for chosen in torch.randperm(count, generator=order).split(lesson.settings.batch_size):
            optimizer.zero_grad()
            loss = lesson.loss(graph(*(values[chosen] for values in lesson.inputs)), lesson.targets[chosen])
            loss.backward()
            optimizer.step()
            slower.step()
            steps += 1
            if masks:
                masks.after_step(steps)
            total += float(loss.detach()) * len(chosen)
        losses.append(total / count)
        progress((epoch + 1) / lesson.settings.epochs)
    passes = "1 epoch" if len(losses) == 1 else f"{len(losses)} epochs"
    return f"{passes} on {count} windows, loss {losses[0]:.4g} in the first and {losses[-1]:.4g} in the last"


def torch_loss_for(output: OutputContract, deviations: Any) -> Loss:
    """Return what holds a PyTorch model's outputs against `targets_for`.

    Args:
        output: What they mean.
        deviations: Standard deviation of each column of the targets.
    """
    import torch  # noqa: PLC0415
    from torch.nn import functional  # noqa: PLC0415

    if output.quantities:
        # Every quantity counts alike, whatever its unit.
        spread = torch.from_numpy(np.maximum(deviations, np.finfo(np.float32).tiny).astype(np.float32))
        return lambda found, wanted: torch.mean(((found - wanted) / spread) ** 2)
    if output.activation == "softmax":
        return functional.cross_entropy
    if output.activation == "sigmoid":
        return functional.binary_cross_entropy_with_logits
    if output.activation == "probability":
        return lambda found, wanted: functional.binary_cross_entropy(found.clamp(_SMALLEST, 1 - _SMALLEST), wanted)
    return lambda found, wanted: -(wanted * found.clamp_min(_SMALLEST).log()).sum(-1).mean()
