"""The TensorFlow Lite interpreter, whichever library it comes from: LiteRT and tflite-runtime share its interface."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edge_sdk.errors import IncompatibleBundle
from edge_sdk.manifest import Artifact
from edge_sdk.tensors import FloatArray, TensorSpec, dequantize, quantize


class InterpreterRuntime:
    """Implements `Runtime`.

    Args:
        make: The library's ``Interpreter`` class.
        name: The library's name.
        version: The library's version.
        litert_version: The LiteRT version whose operators it has, to hold against the artifact's minimum.
        model: The flatbuffer.
        artifact: What the bundle says about it.
        threads: Threads for one inference.

    Raises:
        IncompatibleBundle: The model needs a newer runtime, or is not what the bundle says.
    """

    def __init__(  # noqa: PLR0913  # three facts about the library, three about the model
        self,
        make: Callable[..., Any],
        *,
        name: str,
        version: str,
        litert_version: str,
        model: bytes,
        artifact: Artifact,
        threads: int,
    ) -> None:
        self.name, self.version = name, version
        _check_version(f"{name} {version}", litert_version, artifact.minimum_runtime)
        try:
            interpreter = make(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise IncompatibleBundle(
                f"{name} {version} cannot load the model ({_first_line(error)})",
                remedy="update the runtime, or convert the model for this one",
            ) from error
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self._inputs = _matched(inputs, artifact.inputs)
        ((self._output_index, self._output),) = _matched(outputs, artifact.outputs)
        self._set, self._invoke, self._get = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor

    def infer(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the model's real output for one window."""
        one: FloatArray = self.infer_batch({name: values[np.newaxis] for name, values in inputs.items()})[0]
        return one

    def infer_batch(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the model's real outputs for many windows: stored values are made at once, and run one by one."""
        stored = [(index, quantize(inputs[spec.name], spec)) for index, spec in self._inputs]
        outputs = []
        for number in range(len(stored[0][1])):
            for index, values in stored:
                self._set(index, values[number : number + 1])
            self._invoke()
            outputs.append(self._get(self._output_index)[0])
        return dequantize(np.stack(outputs), self._output)


def _matched(details: list[dict[str, Any]], specs: tuple[TensorSpec, ...]) -> list[tuple[int, TensorSpec]]:
    has = [(tuple(int(size) for size in detail["shape"]), np.dtype(detail["dtype"]).name) for detail in details]
    promised = [(spec.shape, spec.dtype) for spec in specs]
    if has != promised:
        raise IncompatibleBundle(
            f"the model's tensors are {has}, and its manifest says {promised}", remedy="convert and seal it again"
        )
    return [(int(detail["index"]), spec) for detail, spec in zip(details, specs, strict=True)]


def _check_version(runtime: str, has: str, needs: str) -> None:
    if needs and _numbers(has) < _numbers(needs):
        raise IncompatibleBundle(
            f"the model needs LiteRT {needs} or newer, and this machine has {runtime}",
            remedy=f"run: pip install 'ai-edge-litert>={needs}'; or convert the model for older runtimes, with "
            "'edge-convert convert --recipe int8-compatible'",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]
