"""One imported model on the bench: made compact by recipes, compiled for boards, and proved, each once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec

from converters.compilers import compiler_for, form_for
from converters.compilers.jetson.graphs import OnnxModel
from converters.models import CompiledModel, FloatModel, Form, OptimizedModel, VerifiedModel
from converters.optimizers.apply import optimize
from converters.optimizers.recipe import Pruning, Recipe, Training
from converters.optimizers.training import train_again
from converters.tensors import run_flatbuffer
from converters.verification import Measured, check_parity, measure, verify
from converters.windows import Windows
from edge_sdk.profiles import HardwareProfile

Told = Callable[[float], None]


def silent(_done: float) -> None:
    """Tell nobody."""


class Workshop:
    """Holds a model and its windows, and what has been made of it.

    Args:
        source: The imported model.
        windows: Prepared for it.
        budget_points: Loss allowed in any figure.
        folder: For what is made on the way.
        edgetpu_compiler: Where Google's compiler is, if not on PATH.

    Attributes:
        source: The imported model.
        windows: Prepared for it.
        expected: What the source framework answers for the evaluation windows, (n, width).

    Raises:
        VerificationError: The imported model is not the one that was brought.
    """

    def __init__(
        self,
        source: FloatModel,
        windows: Windows,
        *,
        budget_points: float,
        folder: Path,
        edgetpu_compiler: Path | None = None,
    ) -> None:
        self.source, self.windows = replace(source, to_onnx=cache(source.to_onnx)), windows
        self.expected = source.predict(windows.evaluation.inputs)
        answers = run_flatbuffer(source.flatbuffer, windows.evaluation.inputs)
        self._parity_error = check_parity(answers, self.expected, form="LiteRT")
        self._onnx_checked = False
        self._budget_points, self._folder, self._edgetpu_compiler = budget_points, folder, edgetpu_compiler
        self._optimized: dict[tuple[Recipe, Form], OptimizedModel] = {}
        self._again: dict[tuple[Pruning | None, Training | None, bool], FloatModel] = {}

    def make(self, recipe: Recipe, profile: HardwareProfile, *, progress: Told = silent) -> VerifiedModel:
        """Return the model by a recipe, compiled for a board and proved.

        Raises:
            ConversionError: The recipe or the compiler refused.
            VerificationError: It lost more than the budget allows.
        """
        return self.judge(self.measure(self.compile(recipe, profile, progress=progress)))

    def compile(self, recipe: Recipe, profile: HardwareProfile, *, progress: Told = silent) -> CompiledModel:
        """Return the model by a recipe, compiled for a board.

        Raises:
            ConversionError: The recipe or the compiler refused.
        """
        compiler = compiler_for(profile, edgetpu_compiler=self._edgetpu_compiler)
        return compiler(self.optimize(recipe, profile, progress=progress), profile)

    def optimize(self, recipe: Recipe, profile: HardwareProfile, *, progress: Told = silent) -> OptimizedModel:
        """Return the model by a recipe, in the form that a board's compiler takes.

        Raises:
            ConversionError: The recipe refused.
        """
        form = form_for(profile)
        if profile.runtime.backend == "edgetpu":
            # The Edge TPU's compiler stopped before newer operator versions.
            recipe = msgspec.structs.replace(recipe, compatible=True)
        if form == "onnx":
            self._check_onnx()
        if (recipe, form) not in self._optimized:
            model = self._trained(recipe, progress) if recipe.training else self.source
            self._optimized[recipe, form] = optimize(model, recipe, form=form, calibration=self.windows.calibration)
        return self._optimized[recipe, form]

    def _check_onnx(self) -> None:
        """Hold the ONNX form against the source framework, once."""
        if not self._onnx_checked:
            answers = OnnxModel(self.source.to_onnx()).predict(self.windows.evaluation.inputs)
            check_parity(answers, self.expected, form="ONNX")
            self._onnx_checked = True

    def _trained(self, recipe: Recipe, progress: Told) -> FloatModel:
        """Return the model as a recipe trained it, once for all boards."""
        lesson = (recipe.pruning, recipe.training, recipe.compatible)
        if lesson not in self._again:
            self._again[lesson] = train_again(
                self.source, recipe, self.windows.training, self._folder, progress=progress
            )
        return self._again[lesson]

    def measure(self, compiled: CompiledModel) -> Measured:
        """Return a compiled model's figures on the evaluation windows."""
        return measure(
            compiled,
            self.windows.evaluation,
            self.expected,
            budget_points=self._budget_points,
            parity_error=self._parity_error,
        )

    def judge(self, measured: Measured) -> VerifiedModel:
        """Return a model that kept the budget.

        Raises:
            VerificationError: It did not.
        """
        return verify(measured, self.windows.evaluation)
