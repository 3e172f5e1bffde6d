"""The hub's web side: dashboard, JSON API, FHIR, live events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hospital_hub import fhir, queries
from hospital_hub.store import Store

_TICK_S = 0.5
_ANYWAY_S = 5.0
_FHIR_JSON = "application/fhir+json"
_PROTECTION = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Changes:
    """Counts changes, so that whoever watches knows there is something new."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        """Note a change."""
        self.count += 1


def make_app(store: Store, changes: Changes) -> Starlette:
    """Return the web application."""
    site = _Site(store, changes)
    static = Path(str(resources.files("hospital_hub") / "static"))
    routes = [
        Route("/", site.ward),
        Route("/devices/{site}/{device}", site.device),
        Route("/api/overview", site.api_overview),
        Route("/api/devices/{site}/{device}", site.api_device),
        Route("/api/delivery", site.api_delivery),
        Route("/api/events", site.events),
        Route("/fhir/metadata", site.fhir_metadata),
        Route("/fhir/Observation", site.fhir_search),
        Route("/fhir/Observation/{id}", site.fhir_read),
        Mount("/static", StaticFiles(directory=static)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Protection)])


class _Site:
    """The pages and the API."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self._store, self._changes = store, changes
        self._pages = Environment(loader=PackageLoader("hospital_hub"), autoescape=select_autoescape())

    async def ward(self, _request: Request) -> Response:
        """Every patient at a glance."""
        return HTMLResponse(self._pages.get_template("ward.html").render())

    async def device(self, request: Request) -> Response:
        """One patient's page."""
        return HTMLResponse(self._pages.get_template("device.html").render(**request.path_params))

    async def api_overview(self, _request: Request) -> Response:
        """Newest values of every device."""
        return JSONResponse(await run_in_threadpool(queries.overview, self._store))

    async def api_device(self, request: Request) -> Response:
        """One device with trend, beats and strips."""
        asked = request.path_params
        found = await run_in_threadpool(queries.device, self._store, asked["site"], asked["device"])
        return JSONResponse(found or {"error": "no such device"}, status_code=200 if found else 404)

    async def api_delivery(self, _request: Request) -> Response:
        """What has arrived and what is missing."""
        return JSONResponse(await run_in_threadpool(queries.audit, self._store))

    async def events(self, request: Request) -> Response:
        """Server-sent events: something changed."""
        return StreamingResponse(
            self._ticks(request), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _ticks(self, request: Request) -> AsyncIterator[str]:
        """Say "change" when there is something new, and now and then anyway, since values go stale."""
        seen, waited_s = -1, 0.0
        while not await request.is_disconnected():
            if self._changes.count != seen or waited_s >= _ANYWAY_S:
                seen, waited_s = self._changes.count, 0.0
                yield f"event: change\ndata: {seen}\n\n"
            await asyncio.sleep(_TICK_S)
            waited_s += _TICK_S

    async def fhir_metadata(self, request: Request) -> Response:
        """CapabilityStatement."""
        return _fhir(fhir.capability_statement(_base(request)))

    async def fhir_search(self, request: Request) -> Response:
        """Search for Observations."""
        parameters = dict(request.query_params)
        try:
            found = await run_in_threadpool(fhir.bundle, self._store, parameters, base=_base(request))
        except ValueError as error:
            return _fhir(_outcome("value", str(error)), status=400)
        return _fhir(found)

    async def fhir_read(self, request: Request) -> Response:
        """One Observation."""
        found = await run_in_threadpool(fhir.one, self._store, request.path_params["id"])
        return _fhir(found) if found else _fhir(_outcome("not-found", "no such observation"), status=404)


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}/fhir"


def _fhir(resource: dict[str, object], status: int = 200) -> Response:
    return Response(json.dumps(resource), media_type=_FHIR_JSON, status_code=status)


def _outcome(code: str, words: str) -> dict[str, object]:
    issue = {"severity": "error", "code": code, "diagnostics": words}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


class Protection:
    """Adds the headers that keep a browser to our own scripts and styles."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back with the headers."""

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_PROTECTION)
            await send(message)

        await self._app(scope, receive, protected)
