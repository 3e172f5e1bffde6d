"""Magnitude pruning as arithmetic: how sparse when, and which weights. Shared by every framework."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_sdk.tensors import FloatArray

_POWER = 3
# The rest of the steps let the weights that are left make up for those that are gone.
_RAMP = 0.6


def sparsity_at(step: int, *, steps: int, final: float) -> float:
    """Return the fraction of weights that are zero at a step, rising from 0 to ``final`` over the first of the steps.

    It is ``s_f + (s_i - s_f) (1 - (t - t_0) / (n Δt))³`` of Zhu and Gupta, To Prune, or Not to Prune, 2017, with no
    weights gone at first.
    """
    done = min(step / (steps * _RAMP), 1.0)
    return final * (1 - (1 - done) ** _POWER)


def largest(weights: FloatArray, *, sparsity: float) -> NDArray[np.float32]:
    """Return a mask of the same shape, 0 for exactly that fraction of the weights, the smallest; 1 for the others.

    What is zero already is smallest, so that what was left out stays so. Of equals the first are left out.
    """
    mask = np.ones(weights.size, np.float32)
    mask[np.argsort(np.abs(weights), axis=None, kind="stable")[: round(sparsity * weights.size)]] = 0
    return mask.reshape(weights.shape)
