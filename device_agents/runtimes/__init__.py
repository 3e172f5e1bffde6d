"""What runs compiled models: one file per library, listed here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from device_agents.runtimes.base import Runtime, Way
from device_agents.runtimes.edgetpu import edgetpu
from device_agents.runtimes.interpreter import InterpreterRuntime, Library
from device_agents.runtimes.litert import litert
from device_agents.runtimes.tensorrt import tensorrt
from device_agents.runtimes.tflite import tflite
from edge_sdk.errors import MissingDependency
from edge_sdk.manifest import Artifact

# In order of preference: LiteRT runs int8 models six times faster.
LIBRARIES: dict[str, Callable[[], Library]] = {"litert": litert, "tflite-runtime": tflite}


def load_runtime(
    model: bytes, artifact: Artifact, *, backend: str, threads: int, batch: int = 1, engines: Path | None = None
) -> Runtime:
    """Load a model into the runtime a person chose, or into the first one that is installed (``auto``).

    Args:
        model: The compiled model.
        artifact: What the bundle says about it.
        backend: The choice among runtimes for LiteRT models; others have one each.
        threads: Threads for one inference.
        batch: Windows in one inference, for LiteRT models; `device_agents.choose` finds out what pays.
        engines: Folder where engines that are built here are kept; ``None`` to keep none.

    Raises:
        MissingDependency: The chosen runtime, or every one, is missing.
        IncompatibleBundle: The runtime cannot run this model.
        Unavailable: The model needs a GPU or an Edge TPU that cannot be had.
    """
    if artifact.backend == "tensorrt":
        return tensorrt(model, artifact, cache=engines)
    library = installed(backend)
    if artifact.backend == "edgetpu":
        return edgetpu(library, model, artifact, threads=threads)
    return InterpreterRuntime(library, model, artifact, way=Way(threads=threads, batch=batch))


def installed(backend: str) -> Library:
    """Return the library a person chose, or the first one that is installed (``auto``).

    Raises:
        MissingDependency: There is none.
    """
    chosen = list(LIBRARIES) if backend == "auto" else [backend]
    for name in chosen[:-1]:
        with suppress(MissingDependency):
            return LIBRARIES[name]()
    return LIBRARIES[chosen[-1]]()
