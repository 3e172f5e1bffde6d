from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from converters.calibration import WindowSet
from converters.flatbuffers import read_model
from converters.importers.keras import Origin
from converters.importers.pytorch import import_module, import_pytorch
from converters.importers.pytorch_layers import as_layers
from converters.models import FloatModel
from converters.optimizers.recipe import Pruning, Recipe, Training, load_recipe
from converters.optimizers.training.torch_channels import without_torch_channels
from converters.optimizers.training.torch_training import torch_loss_for, train_again_torch
from converters.tensors import run_flatbuffer
from edge_sdk.contracts import Label, OutputContract
from edge_sdk.errors import ConversionError
from tests.conversion.networks import NETWORKS, NOISE, windows

pytestmark = NOISE
CONVOLUTIONS = ("convolution", "depthwise", "residual", "image", "two inputs", "dense over time")


def _model(network: str, folder: Path, *, batch: int | None = None) -> FloatModel:
    asked = NETWORKS[network]
    return import_pytorch(asked.export(folder / "net.pt2", batch=batch), asked.contract(), folder)


def _recipe(pruning: Pruning | None, *, epochs: int = 3) -> Recipe:
    settings = Training(epochs=epochs, batch_size=20)
    return Recipe(name="r", summary="", weights="float32", activations="float32", pruning=pruning, training=settings)


def _windows(network: str, count: int = 200) -> WindowSet:
    return WindowSet(inputs=windows(NETWORKS[network].reads, count, seed=4))


def _example(network: str) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(values) for values in windows(NETWORKS[network].reads, 1, seed=1).values())


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "two inputs"])
def test_a_graph_of_layers_answers_as_its_program_does(network: str) -> None:
    from converters.importers.pytorch_program import served

    module, asked = NETWORKS[network].module(), NETWORKS[network]
    example = tuple(torch.randn(1, *shape) for shape in asked.takes.values())

    graph = as_layers(served(module, lambda inner, given: inner(*given), batched=True), example)

    with torch.no_grad():
        torch.testing.assert_close(graph(*example), module(*example), rtol=0, atol=1e-6)


@pytest.mark.parametrize("network", ["convolution", "lstm"])
def test_magnitude_pruning_leaves_exactly_the_sparsity_in_every_kernel(network: str, tmp_path: Path) -> None:
    model = _model(network, tmp_path)

    pruned = train_again_torch(
        model, _recipe(Pruning(method="magnitude", sparsity=0.5)), _windows(network), tmp_path, progress=lambda _: None
    )

    kernels = [weights.detach().numpy() for weights in pruned.trainable.parameters() if weights.ndim > 1]
    assert [np.count_nonzero(weights == 0) for weights in kernels] == [weights.size // 2 for weights in kernels]
    assert "50.0% of" in pruned.remarks[-1]


def test_a_trained_model_keeps_its_source_and_answers_for_it(tmp_path: Path) -> None:
    model, given, done = _model("convolution", tmp_path), _windows("convolution").inputs, []

    pruned = train_again_torch(
        model,
        _recipe(Pruning(method="magnitude", sparsity=0.3)),
        _windows("convolution"),
        tmp_path,
        progress=done.append,
    )

    assert pruned.predict is model.predict
    assert (pruned.source_name, pruned.source_sha256) == (model.source_name, model.source_sha256)
    assert done == [1 / 3, 2 / 3, 1.0]
    trained = run_flatbuffer(pruned.flatbuffer, given)
    assert 0 < np.abs(trained - model.predict(given)).max() < 0.5 * np.ptp(trained)


def test_training_again_brings_a_pruned_model_nearer_to_its_source(tmp_path: Path) -> None:
    model, given = _model("residual", tmp_path), windows(NETWORKS["residual"].reads, 50, seed=9)
    pruning = Pruning(method="channels", sparsity=0.5)

    def off(epochs: int) -> float:
        pruned = train_again_torch(
            model, _recipe(pruning, epochs=epochs), _windows("residual"), tmp_path, progress=lambda _: None
        )
        return float(np.mean((run_flatbuffer(pruned.flatbuffer, given) - model.predict(given)) ** 2))

    assert off(epochs=20) < 0.5 * off(epochs=1)


def test_the_source_is_not_changed_by_training(tmp_path: Path) -> None:
    model, given = _model("convolution", tmp_path), _windows("convolution").inputs
    before = model.predict(given)

    train_again_torch(model, _recipe(None), _windows("convolution"), tmp_path, progress=lambda _: None)

    np.testing.assert_array_equal(model.predict(given), before)


def test_the_same_training_gives_the_same_weights(tmp_path: Path) -> None:
    model, recipe = _model("convolution", tmp_path), _recipe(Pruning(method="magnitude", sparsity=0.5))

    first, second = (
        train_again_torch(model, recipe, _windows("convolution"), tmp_path, progress=lambda _: None) for _ in range(2)
    )

    weights = zip(first.trainable.parameters(), second.trainable.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)


@pytest.mark.parametrize("network", CONVOLUTIONS)
def test_removing_channels_that_are_zero_changes_nothing(network: str, tmp_path: Path) -> None:
    example = _example(network)
    graph = as_layers(_model(network, tmp_path, batch=1).trainable, example)
    layers = [layer for _, layer in graph.named_children() if hasattr(layer, "weight")]
    with torch.no_grad():
        for layer in layers[:-1]:  # all but the one that makes the output
            half = len(layer.weight) // 2
            layer.weight[half:] = 0
            layer.bias[half:] = 0
        whole = graph(*example)

    smaller, told = without_torch_channels(graph, example, sparsity=0.5)

    with torch.no_grad():
        torch.testing.assert_close(smaller(*example), whole, rtol=0, atol=1e-6)
    sizes = [len(layer.weight) for _, layer in smaller.named_children() if hasattr(layer, "weight")]
    assert sizes == [len(layer.weight) // 2 for layer in layers[:-1]] + [len(layers[-1].weight)]
    assert "→" in told[0]


@pytest.mark.parametrize("batch", [1, None])
def test_a_model_without_channels_is_smaller_in_its_file(batch: int | None, tmp_path: Path) -> None:
    model = _model("residual", tmp_path, batch=batch)

    pruned = train_again_torch(
        model, load_recipe("int8-channels"), _windows("residual"), tmp_path, progress=lambda _: None
    )

    assert _weights(pruned.flatbuffer) < 0.8 * _weights(model.flatbuffer)


def _weights(flatbuffer: bytes) -> int:
    return sum(len(buffer.data) for buffer in read_model(flatbuffer).buffers if buffer.data is not None)


def test_a_module_in_memory_is_trained_like_a_program(tmp_path: Path) -> None:
    asked = NETWORKS["residual"]
    model = import_module(asked.module(), asked.contract(), tmp_path, Origin(name="net", sha256="", size_bytes=0))

    pruned = train_again_torch(
        model, load_recipe("int8-channels"), _windows("residual"), tmp_path, progress=lambda _: None
    )

    assert _weights(pruned.flatbuffer) < 0.8 * _weights(model.flatbuffer)


def test_channels_of_a_recurrent_model_are_refused_with_what_to_do(tmp_path: Path) -> None:
    recipe = load_recipe("int8-channels")

    with pytest.raises(ConversionError, match=r"no channels can be removed.*by magnitude"):
        train_again_torch(_model("lstm", tmp_path), recipe, _windows("lstm"), tmp_path, progress=lambda _: None)


def test_a_program_for_one_window_that_cannot_take_many_is_refused_with_what_to_export(tmp_path: Path) -> None:
    model, recipe = _model("lstm", tmp_path, batch=1), load_recipe("int8-pruned")

    with pytest.raises(ConversionError, match=r"one window at a time.*torch\.export\.Dim\('batch'\)"):
        train_again_torch(model, recipe, _windows("lstm"), tmp_path, progress=lambda _: None)


@pytest.mark.parametrize(
    ("activation", "found", "wanted"),
    [
        ("none", [[0.9, 0.1]], [[1.0, 0.0]]),
        ("softmax", [[np.log(9.0), 0.0]], [[1.0, 0.0]]),
        ("probability", [[0.9]], [[1.0]]),
        ("sigmoid", [[np.log(9.0)]], [[1.0]]),
    ],
)
def test_every_form_of_a_probability_has_the_same_loss(
    activation: str, found: list[list[float]], wanted: list[list[float]]
) -> None:
    code = NETWORKS["linear"].contract().output.code
    labels = (Label(name="a", display="a"), Label(name="b", display="b"))
    output = OutputContract(name="answer", code=code, labels=labels, activation=activation)  # type: ignore[arg-type]

    loss = torch_loss_for(output, np.zeros(1))(torch.tensor(found), torch.tensor(wanted))

    assert float(loss) == pytest.approx(-np.log(0.9), rel=1e-5)
