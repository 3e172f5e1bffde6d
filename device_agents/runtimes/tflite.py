"""tflite-runtime: for 32-bit Arm, where LiteRT has no wheel. Needs numpy 1 and Python 3.11 at most."""

from __future__ import annotations

from device_agents.runtimes.interpreter import Library
from edge_sdk.errors import MissingDependency

_BEFORE_LITERT = "0"  # its last release, 2.14, is a year older than LiteRT 1.0


def tflite() -> Library:
    """Return tflite-runtime.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        from tflite_runtime import __version__, interpreter  # noqa: PLC0415  # native, and one of two alternatives
    except ImportError as error:
        raise MissingDependency(
            f"tflite-runtime is not installed ({error})",
            remedy="pip install 'wearable-edge-sdk[device-tflite]' on Python 3.11 or older",
        ) from error
    return Library(
        name="tflite-runtime",
        version=__version__,
        litert_version=_BEFORE_LITERT,
        interpreter=interpreter.Interpreter,
        load_delegate=interpreter.load_delegate,
    )
