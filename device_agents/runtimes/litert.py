"""LiteRT (package ``ai-edge-litert``): the first choice wherever it has a wheel."""

from __future__ import annotations

from importlib.metadata import version

from device_agents.runtimes.interpreter import InterpreterRuntime
from edge_sdk.errors import MissingDependency
from edge_sdk.manifest import Artifact


def litert(model: bytes, artifact: Artifact, *, threads: int) -> InterpreterRuntime:
    """Load a model into LiteRT.

    Raises:
        MissingDependency: LiteRT is not installed.
        IncompatibleBundle: It cannot run this model.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  # native, and one of two alternatives
    except ImportError as error:
        raise MissingDependency(
            f"LiteRT is not installed ({error})", remedy="pip install 'wearable-edge-sdk[device]'"
        ) from error
    has = version("ai-edge-litert")
    return InterpreterRuntime(
        Interpreter, name="litert", version=has, litert_version=has, model=model, artifact=artifact, threads=threads
    )
