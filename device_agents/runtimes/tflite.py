"""tflite-runtime: for 32-bit Arm, where LiteRT has no wheel. Needs numpy 1 and Python 3.11 at most."""

from __future__ import annotations

from importlib.metadata import version

from device_agents.runtimes.interpreter import InterpreterRuntime
from edge_sdk.errors import MissingDependency
from edge_sdk.manifest import Artifact

_BEFORE_LITERT = "0"  # its last release, 2.14, is a year older than LiteRT 1.0


def tflite(model: bytes, artifact: Artifact, *, threads: int) -> InterpreterRuntime:
    """Load a model into tflite-runtime.

    Raises:
        MissingDependency: tflite-runtime is not installed.
        IncompatibleBundle: It cannot run this model.
    """
    try:
        from tflite_runtime.interpreter import Interpreter  # noqa: PLC0415  # native, and one of two alternatives
    except ImportError as error:
        raise MissingDependency(
            f"tflite-runtime is not installed ({error})",
            remedy="pip install 'wearable-edge-sdk[device-tflite]' on Python 3.11 or older",
        ) from error
    return InterpreterRuntime(
        Interpreter,
        name="tflite-runtime",
        version=version("tflite-runtime"),
        litert_version=_BEFORE_LITERT,
        model=model,
        artifact=artifact,
        threads=threads,
    )
