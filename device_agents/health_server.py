"""The agent's figures over HTTP, for Prometheus and whatever watches containers. Off unless a port is configured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edge_sdk.errors import AddressInUse

LOOPBACK = "127.0.0.1"
_PATIENCE_S = 5.0


class HttpServer:
    """Answers GET on this machine's loopback address.

    Args:
        port: To listen on; 0 for any that is free.
        pages: By path: what returns an answer, status, type and content; called from other threads.

    Attributes:
        port: Where it listens.

    Raises:
        AddressInUse: Something listens there.
    """

    def __init__(self, port: int, pages: Mapping[str, Callable[[], tuple[HTTPStatus, str, bytes]]]) -> None:
        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(pages))
        except OSError as error:
            raise AddressInUse(
                f"port {port} cannot be listened on ({error.strerror})", remedy="configure another, or 0 for none"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _handler(pages: Mapping[str, Callable[[], tuple[HTTPStatus, str, bytes]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_S

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, kind, content = page() if page else (HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's word
            """Say nothing: it is asked every few seconds."""

    return Handler
