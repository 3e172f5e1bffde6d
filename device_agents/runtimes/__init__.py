"""What runs compiled models: one file per library, listed here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from device_agents.runtimes.base import Runtime
from device_agents.runtimes.litert import litert
from device_agents.runtimes.tensorrt import tensorrt
from device_agents.runtimes.tflite import tflite
from edge_sdk.errors import IncompatibleBundle, MissingDependency
from edge_sdk.manifest import Artifact

# In order of preference: LiteRT runs int8 models six times faster.
RUNTIMES: dict[str, Callable[..., Runtime]] = {"litert": litert, "tflite-runtime": tflite}


def load_runtime(
    model: bytes, artifact: Artifact, *, backend: str, threads: int, engines: Path | None = None
) -> Runtime:
    """Load a model into the runtime a person chose, or into the first one that is installed (``auto``).

    Args:
        model: The compiled model.
        artifact: What the bundle says about it.
        backend: The choice among runtimes for LiteRT models; others have one each.
        threads: Threads for one inference.
        engines: Folder where engines that are built here are kept; ``None`` to keep none.

    Raises:
        MissingDependency: The chosen runtime, or every one, is missing.
        IncompatibleBundle: The runtime cannot run this model.
        Unavailable: The model needs a GPU that cannot be had.
    """
    if artifact.backend == "tensorrt":
        return tensorrt(model, artifact, cache=engines)
    if artifact.backend != "litert":
        raise IncompatibleBundle(
            f"the model was compiled for {artifact.backend}, which this version of the agent cannot run",
            remedy="convert it for a board that runs litert",
        )
    chosen = list(RUNTIMES) if backend == "auto" else [backend]
    for name in chosen[:-1]:
        with suppress(MissingDependency):
            return RUNTIMES[name](model, artifact, threads=threads)
    return RUNTIMES[chosen[-1]](model, artifact, threads=threads)
