"""LiteRT (package ``ai-edge-litert``): the first choice wherever it has a wheel."""

from __future__ import annotations

from device_agents.runtimes.interpreter import Library
from edge_sdk.errors import MissingDependency


def litert() -> Library:
    """Return LiteRT.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        from ai_edge_litert import __version__, interpreter  # noqa: PLC0415  # native, and one of two alternatives
    except ImportError as error:
        raise MissingDependency(
            f"LiteRT is not installed ({error})", remedy="pip install 'wearable-edge-sdk[device]'"
        ) from error
    return Library(
        name="litert",
        version=__version__,
        litert_version=__version__,
        interpreter=interpreter.Interpreter,
        load_delegate=interpreter.load_delegate,
    )
