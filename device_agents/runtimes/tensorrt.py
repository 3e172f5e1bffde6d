"""TensorRT, as JetPack brings it: builds its engine on this device, from the bundle's ONNX."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from device_agents.runtimes.base import Inputs, infer_one, only_numbers
from device_agents.runtimes.cuda import CudaGpu, Gpu
from device_agents.runtimes.engine_builder import build_engine
from device_agents.runtimes.engine_cache import EngineCache, EngineKey
from edge_sdk.errors import IncompatibleBundle, MissingDependency
from edge_sdk.files import sha256_hex
from edge_sdk.manifest import Artifact
from edge_sdk.tensors import FloatArray

_log = logging.getLogger(__name__)


def tensorrt(model: bytes, artifact: Artifact, *, cache: Path | None) -> TensorRtRuntime:
    """Load a model into the TensorRT that JetPack installed.

    Args:
        model: The ONNX file.
        artifact: What the bundle says about it.
        cache: Folder for the built engine; ``None`` to build it anew.

    Raises:
        MissingDependency: TensorRT or CUDA is not installed.
        IncompatibleBundle: It cannot run this model.
        Unavailable: The GPU cannot be had.
    """
    try:
        import tensorrt as trt  # noqa: PLC0415  # native, and only a Jetson has it
    except ImportError as error:
        raise MissingDependency(
            f"TensorRT is not installed ({error})",
            remedy="on a Jetson: sudo apt-get install nvidia-jetpack python3-libnvinfer; "
            "a virtual environment needs --system-site-packages to see it",
        ) from error
    return load(trt, CudaGpu(), model, artifact, cache=cache)


def load(trt: Any, gpu: Gpu, model: bytes, artifact: Artifact, *, cache: Path | None) -> TensorRtRuntime:
    """Load a model into a TensorRT module, with the engine that was kept for it if there is one.

    Raises:
        IncompatibleBundle: It cannot run this model.
    """
    version = str(trt.__version__)
    _check_version(version, artifact.minimum_runtime)
    kept = EngineCache(cache) if cache else None
    key = EngineKey(model_sha256=sha256_hex(model), tensorrt=version, gpu=gpu.name)
    engine = kept.get(key) if kept else None
    if engine is not None:
        try:
            return TensorRtRuntime(trt, gpu, engine, artifact)
        except IncompatibleBundle as error:
            _log.warning("the kept TensorRT engine does not load (%s); it is built again", error)
    began_s = time.monotonic()
    _log.info("TensorRT %s builds the model's engine, which can take minutes", version)
    engine = build_engine(trt, model, version=version)
    _log.info("built in %.0f s", time.monotonic() - began_s)
    runtime = TensorRtRuntime(trt, gpu, engine, artifact)
    if kept:
        kept.put(key, engine)
    return runtime


class TensorRtRuntime:
    """Implements `Runtime`.

    Args:
        trt: The TensorRT module.
        gpu: Where it runs.
        engine: A serialized engine.
        artifact: What the bundle says about the model.

    Raises:
        IncompatibleBundle: The engine does not load, or the model is not what the bundle says.
    """

    name = "tensorrt"

    def __init__(self, trt: Any, gpu: Gpu, engine: bytes, artifact: Artifact) -> None:
        self.version = str(trt.__version__)
        # Each needs the ones before it for as long as it lives.
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise IncompatibleBundle(
                f"TensorRT {self.version} does not load the engine", remedy="see the messages above"
            )
        _check_tensors(tensors(trt, self._engine), artifact)
        self._gpu, self._context = gpu, self._engine.create_execution_context()
        specs = (*artifact.inputs, *artifact.outputs)
        self._host = {spec.name: np.zeros(spec.shape, np.dtype(spec.dtype)) for spec in specs}
        self._device = {name: gpu.allocate(values.nbytes) for name, values in self._host.items()}
        self._inputs, (self._output,) = [spec.name for spec in artifact.inputs], [o.name for o in artifact.outputs]

    def infer(self, inputs: Inputs) -> FloatArray:
        """Return the model's real output for one window."""
        return infer_one(self.infer_batch, inputs)

    def infer_batch(self, inputs: Inputs) -> FloatArray:
        """Return the model's real outputs for many windows: one after another, since engines are built for one."""
        return only_numbers(self._run, inputs)

    def _run(self, inputs: Inputs) -> FloatArray:
        windows = len(next(iter(inputs.values())))
        outputs: FloatArray = np.empty((windows, *self._host[self._output].shape[1:]), np.float32)
        for number in range(windows):
            for name in self._inputs:
                self._host[name][0] = inputs[name][number]
                self._gpu.upload(self._device[name], self._host[name])
            if not submit(self._context, self._engine, self._device, self._gpu.stream):
                raise IncompatibleBundle("TensorRT did not run the model", remedy="see the messages above")
            self._gpu.download(self._host[self._output], self._device[self._output])
            self._gpu.wait()
            outputs[number] = self._host[self._output][0]
        return outputs


def tensors(trt: Any, engine: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and numpy's type of every input and output, in the words of TensorRT 8.5 and newer, or of 8.2."""
    if hasattr(engine, "num_io_tensors"):
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        described = [(name, engine.get_tensor_shape(name), engine.get_tensor_dtype(name)) for name in names]
    else:
        places = range(engine.num_bindings)
        described = [
            (engine.get_binding_name(i), engine.get_binding_shape(i), engine.get_binding_dtype(i)) for i in places
        ]
    return {name: (tuple(shape), np.dtype(trt.nptype(dtype)).name) for name, shape, dtype in described}


def submit(context: Any, engine: Any, addresses: Mapping[str, int], stream: int) -> bool:
    """Put one run on the stream, in the words of TensorRT 8.5 and newer, or of 8.2; ``False`` if it is refused."""
    if hasattr(context, "execute_async_v3"):
        for name, address in addresses.items():
            context.set_tensor_address(name, address)
        return bool(context.execute_async_v3(stream))
    bindings = [addresses[engine.get_binding_name(index)] for index in range(engine.num_bindings)]
    return bool(context.execute_async_v2(bindings, stream))


def _check_tensors(has: Mapping[str, tuple[tuple[int, ...], str]], artifact: Artifact) -> None:
    promised = {spec.name: (spec.shape, spec.dtype) for spec in (*artifact.inputs, *artifact.outputs)}
    if dict(has) != promised:
        raise IncompatibleBundle(
            f"the model's tensors are {dict(has)}, and its manifest says {promised}",
            remedy="convert and seal it again",
        )


def _check_version(has: str, needs: str) -> None:
    if needs and _numbers(has) < _numbers(needs):
        raise IncompatibleBundle(
            f"the model needs TensorRT {needs} or newer, and this machine has {has}",
            remedy="update JetPack, or convert the model for the one that is installed",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
