"""TensorRT without a GPU: its Python interface, of both generations, over onnxruntime and ordinary memory."""

# ruff: noqa: ARG001, ARG002, ARG005  # the interface is NVIDIA's, and this needs less of it
from __future__ import annotations

import ctypes
import enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

_MAGIC = b"an engine of "


class HostGpu:
    """Implements `device_agents.runtimes.cuda.Gpu` in ordinary memory."""

    def __init__(self, name: str = "sm87x8") -> None:
        self.name, self.stream, self._buffers = name, 7, []

    def allocate(self, size_bytes: int) -> int:
        self._buffers.append(np.zeros(size_bytes, np.uint8))
        return self._buffers[-1].ctypes.data

    def upload(self, address: int, values: NDArray[Any]) -> None:
        ctypes.memmove(address, values.ctypes.data, values.nbytes)

    def download(self, values: NDArray[Any], address: int) -> None:
        ctypes.memmove(values.ctypes.data, address, values.nbytes)

    def wait(self) -> None:
        pass


class FakeTensorRt:
    """The module ``tensorrt``, as JetPack 6 has it, or with ``old=True`` as TensorRT 8.2 was.

    Attributes:
        builds: How many engines were built.
        flags: Builder flags that were set for the last one.
    """

    float16 = "HALF"
    LayerType = SimpleNamespace(QUANTIZE="QUANTIZE")
    BuilderFlag = SimpleNamespace(INT8="INT8", FP16="FP16", OBEY_PRECISION_CONSTRAINTS="OBEY", TF32="TF32")

    def __init__(self, version: str = "10.3.0", *, old: bool = False) -> None:
        self.__version__, self.old = version, old
        self.builds, self.flags = 0, []
        members = {"EXPLICIT_BATCH": 0} if old else {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}
        self.NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", members)
        self.Logger = _logger()
        self.Builder = lambda log: _Builder(self)
        self.OnnxParser = _Parser
        self.Runtime = lambda log: _Runtime(old=old)

    def nptype(self, dtype: str) -> Any:
        return np.dtype(dtype)


def _logger() -> Any:
    class Logger:
        ERROR = 1

        def __init__(self, severity: int) -> None:
            pass

    return Logger


class _Network:
    def __init__(self, flags: int) -> None:
        self.flags, self.model, self.layers = flags, b"", []

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Any:
        return self.layers[index]


class _Parser:
    def __init__(self, network: _Network, log: object) -> None:
        self._network, self.num_errors = network, 0

    def parse(self, data: bytes) -> bool:
        try:
            graph = onnx.load_model_from_string(data).graph
        except Exception:  # noqa: BLE001  # protobuf's own kinds
            graph = None
        if graph is None or not graph.node:
            self.num_errors = 1
            return False
        halves = {stored.name for stored in graph.initializer if stored.data_type == onnx.TensorProto.FLOAT16}
        for node in graph.node:
            dtype = "HALF" if halves & set(node.input) else "FLOAT"
            kind = "QUANTIZE" if node.op_type == "QuantizeLinear" else node.op_type
            output = SimpleNamespace(dtype=dtype)
            self._network.layers.append(SimpleNamespace(type=kind, num_outputs=1, get_output=lambda _, o=output: o))
        self._network.model = data
        return True

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: "Failed to parse the model")


class _Builder:
    def __init__(self, module: FakeTensorRt) -> None:
        self._module = module

    def create_network(self, flags: int) -> _Network:
        return _Network(flags)

    def create_builder_config(self) -> Any:
        self._module.flags = []
        return SimpleNamespace(set_flag=self._module.flags.append, clear_flag=lambda flag: None)

    def build_serialized_network(self, network: _Network, config: object) -> bytes:
        assert network.flags & 1, "TensorRT 8 parses ONNX into networks of explicit batch only"
        self._module.builds += 1
        return _MAGIC + network.model


class _Runtime:
    def __init__(self, *, old: bool) -> None:
        self._old = old

    def deserialize_cuda_engine(self, data: bytes) -> Any:
        if not data.startswith(_MAGIC):
            return None
        return (_OldEngine if self._old else _NewEngine)(data[len(_MAGIC) :])


class _Engine:
    def __init__(self, model: bytes) -> None:
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.items = [*self.session.get_inputs(), *self.session.get_outputs()]

    def run(self, addresses: dict[str, int]) -> bool:
        views = {item.name: _view(addresses[item.name], item.shape) for item in self.items}
        (output,) = self.session.get_outputs()
        views[output.name][:] = self.session.run(None, {i.name: views[i.name] for i in self.session.get_inputs()})[0]
        return True


class _NewEngine(_Engine):
    @property
    def num_io_tensors(self) -> int:
        return len(self.items)

    def get_tensor_name(self, index: int) -> str:
        return self.items[index].name

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(next(item.shape for item in self.items if item.name == name))

    def get_tensor_dtype(self, name: str) -> str:
        return "float32"

    def create_execution_context(self) -> Any:
        addresses: dict[str, int] = {}
        return SimpleNamespace(
            set_tensor_address=addresses.__setitem__, execute_async_v3=lambda stream: self.run(addresses)
        )


class _OldEngine(_Engine):
    @property
    def num_bindings(self) -> int:
        return len(self.items)

    def get_binding_name(self, index: int) -> str:
        return self.items[index].name

    def get_binding_shape(self, index: int) -> tuple[int, ...]:
        return tuple(self.items[index].shape)

    def get_binding_dtype(self, index: int) -> str:
        return "float32"

    def create_execution_context(self) -> Any:
        def execute(bindings: list[int], stream: int) -> bool:
            return self.run({item.name: address for item, address in zip(self.items, bindings, strict=True)})

        return SimpleNamespace(execute_async_v2=execute)


def _view(address: int, shape: list[int]) -> NDArray[np.float32]:
    count = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(shape)
