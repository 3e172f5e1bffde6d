"""Running a LiteRT flatbuffer on the workstation: its answers, and the tensors inside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.importers.tensorflow import SIGNATURE, first_line
from edge_sdk.errors import ConversionError
from edge_sdk.tensors import FloatArray, TensorSpec, dequantize, quantize


class Flatbuffer:
    """A LiteRT model, loaded, its tensors under the contract's names.

    Attributes:
        inputs: Stored form of each input, in the model's order.
        output: Stored form of the output.

    Raises:
        ConversionError: LiteRT does not load it.
    """

    def __init__(self, data: bytes, *, keep_every_tensor: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  # native, and only the child needs it

        try:
            self._interpreter = Interpreter(
                model_content=data, num_threads=1, experimental_preserve_all_tensors=keep_every_tensor
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ConversionError(
                f"the converted model does not load in LiteRT ({first_line(error)})", remedy="try another recipe"
            ) from error
        names = self._interpreter.get_signature_runner(SIGNATURE)
        inputs = {detail["index"]: name for name, detail in names.get_input_details().items()}
        outputs = {detail["index"]: name for name, detail in names.get_output_details().items()}
        self.inputs = tuple(_spec(detail, inputs) for detail in self._interpreter.get_input_details())
        (self.output,) = (_spec(detail, outputs) for detail in self._interpreter.get_output_details())
        self._input_indices = [detail["index"] for detail in self._interpreter.get_input_details()]
        self._output_index = self._interpreter.get_output_details()[0]["index"]

    def predict(self, windows: dict[str, FloatArray]) -> FloatArray:
        """Return real outputs, float32 of shape (n, width), for inputs by name, each (n, …)."""
        count = len(next(iter(windows.values())))
        answers = np.empty((count, *self.output.shape[1:]), np.float32)
        for row in range(count):
            self.run({name: values[row : row + 1] for name, values in windows.items()})
            answers[row] = dequantize(self._interpreter.get_tensor(self._output_index), self.output)[0]
        return answers

    def run(self, window: dict[str, FloatArray]) -> None:
        """Run one window, each input (1, …)."""
        for index, spec in zip(self._input_indices, self.inputs, strict=True):
            self._interpreter.set_tensor(index, quantize(window[spec.name], spec))
        self._interpreter.invoke()

    def tensors(self) -> dict[str, FloatArray]:
        """Return the real values of every activation of the last window, by name."""
        found = {}
        for detail in self._interpreter.get_tensor_details():
            scale, zero_point = detail["quantization"]
            spec = TensorSpec(name=detail["name"], shape=(), dtype="", scale=float(scale), zero_point=int(zero_point))
            try:
                found[detail["name"]] = dequantize(self._interpreter.get_tensor(detail["index"]), spec)
            except ValueError:  # a tensor of a branch that did not run
                continue
        return found


def run_flatbuffer(data: bytes, windows: dict[str, FloatArray]) -> FloatArray:
    """Return real outputs, float32 of shape (n, width), of a flatbuffer for inputs by name, each (n, …)."""
    return Flatbuffer(data).predict(windows)


def _spec(detail: dict[str, Any], names: dict[int, str]) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    return TensorSpec(
        name=names[detail["index"]],
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )
