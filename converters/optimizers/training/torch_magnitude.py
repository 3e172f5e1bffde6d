"""Magnitude pruning of a PyTorch graph while it is trained: each kernel's smallest weights become zero and stay so."""

from __future__ import annotations

from typing import Any

from converters.optimizers.training.sparsity import largest, sparsity_at

# Masks change this often over the whole training; between, weights settle.
_CHANGES = 100
_MATRIX_AXES = 2


class TorchMasks:
    """Which weights of a graph's kernels are left. Biases and normalization stay whole: they are few and matter.

    ``torch.nn.utils.prune`` masks weights when their layer is called, and those of recurrent operators are no layer's.

    Args:
        graph: What is trained.
        final: The fraction of each kernel that is zero in the end.
        steps: How many steps the training takes.
    """

    def __init__(self, graph: Any, *, final: float, steps: int) -> None:
        self._kernels = [weights for weights in graph.parameters() if weights.ndim >= _MATRIX_AXES]
        self._masks = [weights.detach().new_ones(weights.shape) for weights in self._kernels]
        self._final, self._steps, self._every = final, steps, max(1, steps // _CHANGES)

    def after_step(self, step: int) -> None:
        """Set to zero what is due after so many steps of the optimizer."""
        import torch  # noqa: PLC0415  # heavy, and only models of PyTorch need it

        if step == self._steps or step % self._every == 0:
            sparsity = self._final if step == self._steps else sparsity_at(step, steps=self._steps, final=self._final)
            self._masks = [
                torch.from_numpy(largest((weights * mask).detach().numpy(), sparsity=sparsity))
                for weights, mask in zip(self._kernels, self._masks, strict=True)
            ]
        with torch.no_grad():
            for weights, mask in zip(self._kernels, self._masks, strict=True):
                weights.mul_(mask)

    def summary(self) -> str:
        """Return in words how much is zero."""
        total = sum(weights.numel() for weights in self._kernels)
        zeros = sum(int((weights == 0).sum()) for weights in self._kernels)
        return f"{zeros / total:.1%} of {total} weights are zero"
