"""What an agent tells those who ask about it, on its socket and over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import msgspec

from device_agents.metrics import Meter
from device_agents.metrics_text import CONTENT_TYPE, prometheus

HUNG_S = 30.0
"""A work loop that makes no turn for so long is not healthy: its turns take a fraction of a second."""
Page = tuple[HTTPStatus, str, bytes]


def pages(meter: Meter, *, age_s: Callable[[], float]) -> dict[str, Callable[[], Page]]:
    """Return the pages of `HttpServer`.

    Args:
        meter: The figures.
        age_s: How long ago the work loop made its last turn.
    """
    return {
        "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE, prometheus(meter).encode()),
        "/status": lambda: (HTTPStatus.OK, "application/json", msgspec.json.encode(meter.latest)),
        "/health": lambda: _health(age_s()),
    }


def _health(age_s: float) -> Page:
    if age_s < HUNG_S:
        return HTTPStatus.OK, "text/plain", b"ok\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"the agent has done nothing for {age_s:.0f} s\n".encode()
