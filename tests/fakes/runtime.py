"""A runtime that gives the answers it was told to, in order; the last one for ever."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge_sdk.tensors import FloatArray


class ToldAnswers:
    name, version = "told", "1.0"

    def __init__(self, *answers: list[float]) -> None:
        self._answers = [np.array(answer, np.float32) for answer in answers]
        self._asked = 0

    def infer_batch(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        windows = len(next(iter(inputs.values())))
        return np.stack([self.infer({name: values[n] for name, values in inputs.items()}) for n in range(windows)])

    def infer(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        assert all(np.isfinite(values).all() for values in inputs.values()), "a model must never see a missing sample"
        answer = self._answers[min(self._asked, len(self._answers) - 1)]
        self._asked += 1
        return answer
