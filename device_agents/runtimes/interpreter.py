"""The TensorFlow Lite interpreter, whichever library it comes from: LiteRT and tflite-runtime share its interface."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_agents.runtimes.base import Inputs, Way, infer_one, only_numbers
from edge_sdk.errors import IncompatibleBundle
from edge_sdk.manifest import Artifact
from edge_sdk.tensors import FloatArray, TensorSpec, dequantize, quantize


@dataclass(frozen=True, kw_only=True)
class Library:
    """A library that has the interpreter.

    Attributes:
        name: The library's name.
        version: The library's version.
        litert_version: The LiteRT version whose operators it has, to hold against the artifact's minimum.
        interpreter: Its ``Interpreter`` class.
        load_delegate: Its function of that name.
    """

    name: str
    version: str
    litert_version: str
    interpreter: Callable[..., Any]
    load_delegate: Callable[[str], Any]


class InterpreterRuntime:
    """Implements `Runtime`.

    Args:
        library: What interprets it.
        model: The flatbuffer.
        artifact: What the bundle says about it.
        way: How to run it.
        delegates: What of the library's runs parts of the model elsewhere.

    Raises:
        IncompatibleBundle: The model needs a newer runtime, is not what the bundle says, or cannot run that way.
    """

    def __init__(
        self, library: Library, model: bytes, artifact: Artifact, *, way: Way, delegates: Sequence[Any] = ()
    ) -> None:
        self.name, self.version = library.name, library.version
        _check_version(f"{library.name} {library.version}", library.litert_version, artifact.minimum_runtime)
        load = partial(_Loaded, library, model, artifact, threads=way.threads, delegates=delegates)
        self._single = load(batch=1)
        # A second interpreter: what is left over when the windows do not fill a batch goes one by one.
        self._together = load(batch=way.batch) if way.batch > 1 else self._single
        self._batch, self._inputs, (self._output,) = way.batch, artifact.inputs, artifact.outputs

    def infer(self, inputs: Inputs) -> FloatArray:
        """Return the model's real output for one window."""
        return infer_one(self.infer_batch, inputs)

    def infer_batch(self, inputs: Inputs) -> FloatArray:
        """Return the model's real outputs for many windows: all are quantized at once."""
        return only_numbers(self._run, inputs)

    def _run(self, inputs: Inputs) -> FloatArray:
        stored = [quantize(inputs[spec.name], spec) for spec in self._inputs]
        windows = len(stored[0])
        outputs = np.empty((windows, *self._output.shape[1:]), np.dtype(self._output.dtype))
        whole = windows - windows % self._batch
        self._together.run(stored, outputs, range(0, whole, self._batch))
        self._single.run(stored, outputs, range(whole, windows))
        return dequantize(outputs, self._output)


class _Loaded:
    """A model in an interpreter that takes so many windows at a time."""

    def __init__(
        self,
        library: Library,
        model: bytes,
        artifact: Artifact,
        *,
        batch: int,
        threads: int,
        delegates: Sequence[Any],
    ) -> None:
        try:
            interpreter = library.interpreter(
                model_content=model, num_threads=threads, experimental_delegates=list(delegates) or None
            )
            for detail in interpreter.get_input_details() if batch > 1 else ():
                interpreter.resize_tensor_input(detail["index"], (batch, *detail["shape"][1:]), strict=False)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise IncompatibleBundle(
                f"{library.name} {library.version} cannot load the model ({_first_line(error)})",
                remedy="update the runtime, or convert the model for this one",
            ) from error
        self._inputs = _matched(interpreter.get_input_details(), artifact.inputs, batch=batch)
        (self._output,) = _matched(interpreter.get_output_details(), artifact.outputs, batch=batch)
        self._interpreter, self._batch = interpreter, batch

    def run(self, inputs: Sequence[NDArray[Any]], outputs: NDArray[Any], starts: range) -> None:
        """Fill in the outputs of the windows that begin at these, a batch each."""
        set_tensor, invoke, get_tensor = (
            self._interpreter.set_tensor,
            self._interpreter.invoke,
            self._interpreter.get_tensor,
        )
        given, output, batch = list(zip(self._inputs, inputs, strict=True)), self._output, self._batch
        for start in starts:
            stop = start + batch
            for place, values in given:
                set_tensor(place, values[start:stop])
            invoke()
            outputs[start:stop] = get_tensor(output)


def _matched(details: Sequence[dict[str, Any]], specs: Sequence[TensorSpec], *, batch: int) -> list[int]:
    """Return the places of tensors that are what the manifest says."""
    has = [(tuple(int(size) for size in detail["shape"]), np.dtype(detail["dtype"]).name) for detail in details]
    promised = [((batch, *spec.shape[1:]) if batch > 1 else spec.shape, spec.dtype) for spec in specs]
    if has != promised:
        raise IncompatibleBundle(
            f"the model's tensors are {has}, and its manifest says {promised}", remedy="convert and seal it again"
        )
    return [int(detail["index"]) for detail in details]


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
