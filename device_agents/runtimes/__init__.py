"""What runs a model. One name each, listed here."""

from __future__ import annotations

from importlib.util import find_spec

from device_agents.runtimes.base import Runtime
from device_agents.runtimes.interpreter import InterpreterRuntime
from edge_sdk.errors import IncompatibleBundle, MissingDependency
from edge_sdk.manifest import Artifact

# pip's name: the module with its interpreter; the faster one first.
LITERT_FAMILY = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
_NAMES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}


def open_runtime(artifact: Artifact, data: bytes, *, backend: str = "auto", threads: int = 1) -> Runtime:
    """Load a model into the runtime that is asked for, or the best one installed.

    Raises:
        IncompatibleBundle: No runtime of ours runs that kind of artifact, or the model does not load.
        MissingDependency: The runtime is not installed.
    """
    if artifact.backend != "litert":
        raise IncompatibleBundle(
            f"this agent cannot run {artifact.backend} models yet",
            remedy="convert the model for a board that runs litert",
        )
    package = _NAMES[backend] if backend != "auto" else _best_installed()
    return InterpreterRuntime(package, LITERT_FAMILY[package], artifact, data, threads=threads)


def _best_installed() -> str:
    for package, module in LITERT_FAMILY.items():
        if find_spec(module.split(".", maxsplit=1)[0]):
            return package
    raise MissingDependency("no runtime is installed", remedy="run: pip install 'wearable-edge-sdk[device]'")
