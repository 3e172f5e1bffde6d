"""LiteRT and its predecessor tflite-runtime share one interpreter interface."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from edge_sdk.errors import IncompatibleBundle, MissingDependency
from edge_sdk.manifest import Artifact
from edge_sdk.tensors import FloatArray, TensorSpec, dequantize, quantize


class InterpreterRuntime:
    """A `Runtime` around one flatbuffer.

    Args:
        package: The library, as pip names it.
        module: Where its ``Interpreter`` is.
        artifact: How the model's tensors are stored.
        data: The flatbuffer.
        threads: Threads for one inference.

    Raises:
        MissingDependency: The library is not installed.
        IncompatibleBundle: The library is too old for the model, or the model is not as its manifest says.
    """

    def __init__(self, package: str, module: str, artifact: Artifact, data: bytes, *, threads: int) -> None:
        self.name, self.version = package, _installed_version(package)
        _check_version(package, self.version, artifact)
        self._interpreter = _load(module, data, package=package, threads=threads)
        self._inputs = _bind(self._interpreter.get_input_details(), artifact.inputs)
        ((self._output_index, self._output),) = _bind(self._interpreter.get_output_details(), artifact.outputs)

    def infer(self, inputs: dict[str, FloatArray]) -> FloatArray:
        """Run one window; see `Runtime`."""
        for index, spec in self._inputs:
            self._interpreter.set_tensor(index, quantize(inputs[spec.name][np.newaxis], spec))
        self._interpreter.invoke()
        return dequantize(self._interpreter.get_tensor(self._output_index)[0], self._output)


def _installed_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise MissingDependency(f"{package} is not installed", remedy=f"run: pip install {package}") from error


def _check_version(package: str, installed: str, artifact: Artifact) -> None:
    if artifact.minimum_runtime and _numbers(installed) < _numbers(artifact.minimum_runtime):
        raise IncompatibleBundle(
            f"the model needs {package} {artifact.minimum_runtime}; {installed} is installed",
            remedy=f"run: pip install -U {package}",
        )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _load(module: str, data: bytes, *, package: str, threads: int) -> Any:
    try:
        interpreter = importlib.import_module(module).Interpreter(model_content=data, num_threads=threads)
        interpreter.allocate_tensors()
    except ImportError as error:
        raise MissingDependency(f"{package} cannot be imported ({error})", remedy=f"reinstall {package}") from error
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise IncompatibleBundle(
            f"{package} cannot load the model ({first})", remedy=f"update {package}, or convert the model for it"
        ) from error
    return interpreter


def _bind(details: list[dict[str, Any]], specs: tuple[TensorSpec, ...]) -> list[tuple[int, TensorSpec]]:
    found = [(tuple(int(size) for size in detail["shape"]), np.dtype(detail["dtype"]).name) for detail in details]
    wanted = [(spec.shape, spec.dtype) for spec in specs]
    if found != wanted:
        raise IncompatibleBundle(f"the model's tensors are {found}, its manifest says {wanted}", remedy="seal it again")
    return [(detail["index"], spec) for detail, spec in zip(details, specs, strict=True)]
