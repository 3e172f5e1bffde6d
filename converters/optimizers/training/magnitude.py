"""Magnitude pruning of a Keras model while it is trained: each kernel's smallest weights become zero and stay so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from converters.optimizers.training.sparsity import largest, sparsity_at
from edge_sdk.errors import ConversionError

# Masks change this often over the whole training; between, weights settle.
_CHANGES = 100


class Masks:
    """Which weights of a model's kernels are left. Biases and normalization stay whole: they are few.

    A mask is its kernel's constraint, so that Keras applies it after every step of an optimizer.

    Args:
        kernels: Keras variables.
    """

    def __init__(self, kernels: Sequence[Any]) -> None:
        import keras  # noqa: PLC0415  # heavy, and only this function needs it

        self._kernels = [(kernel, keras.Variable(np.ones(kernel.shape), trainable=False)) for kernel in kernels]
        for kernel, mask in self._kernels:
            kernel.constraint = _masked(mask, first=kernel.constraint)

    def tighten(self, sparsity: float) -> None:
        """Set exactly this fraction of every kernel to zero, the smallest weights."""
        for kernel, mask in self._kernels:
            mask.assign(largest(np.asarray(kernel), sparsity=sparsity))
            kernel.assign(kernel * mask)

    def callback(self, *, steps: int, final: float) -> Any:
        """Return a Keras callback that tightens the masks up to ``final`` over that many steps."""
        import keras  # noqa: PLC0415

        numbers, every = count(), max(1, steps // _CHANGES)

        def before_step(batch: int, logs: object = None) -> None:  # noqa: ARG001  # Keras names them
            number = next(numbers)
            if number % every == 0:
                self.tighten(sparsity_at(number, steps=steps, final=final))

        return keras.callbacks.LambdaCallback(
            on_train_batch_begin=before_step,
            on_train_end=lambda logs: self.tighten(final),  # noqa: ARG005
        )

    def summary(self) -> str:
        """Return in words how much is zero."""
        weights = [np.asarray(kernel) for kernel, _ in self._kernels]
        total = sum(values.size for values in weights)
        zeros = total - sum(np.count_nonzero(values) for values in weights)
        return f"{zeros / total:.1%} of {total} weights are zero"


def _masked(mask: Any, *, first: Any) -> Any:
    import keras  # noqa: PLC0415

    class Masked(keras.constraints.Constraint):  # type: ignore[misc]  # Keras has no types
        def __call__(self, weights: Any) -> Any:
            return (first(weights) if first else weights) * mask

    return Masked()


def kernels_of(model: Any) -> list[Any]:
    """Return the variables that hold nearly all of a model's weights, those of its last layer left out.

    The last layer is small and decides: with it, 80 % of a heartbeat classifier's weights cost 2.2 % of its decisions,
    without it 0.8 %. A model of a single layer has only that.

    Args:
        model: A Keras model of layers in their order, none of them a model.

    Raises:
        ConversionError: There are none.
    """
    of_layers = [
        [weight for weight in layer.trainable_weights if weight.name.endswith("kernel")] for layer in model.layers
    ]
    with_kernels = [kernels for kernels in of_layers if kernels]
    if not with_kernels:
        raise ConversionError("the model has no weights to prune", remedy="use int8")
    return [kernel for kernels in with_kernels[:-1] or with_kernels for kernel in kernels]
