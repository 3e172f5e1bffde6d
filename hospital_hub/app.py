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

from edge_sdk.errors import MessageError
from hospital_hub import fhir_server
from hospital_hub.audit import audit
from hospital_hub.dashboard import Dashboard
from hospital_hub.fhir import Resource
from hospital_hub.live import Live
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


def make_app(store: Store, live: Live) -> Starlette:
    """Return the web application."""
    site = _Site(store, live)
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

    def __init__(self, store: Store, live: Live) -> None:
        self._store, self._live, self._dashboard = store, live, Dashboard(store, live)
        self._pages = Environment(loader=PackageLoader("hospital_hub"), autoescape=select_autoescape())

    async def ward(self, _request: Request) -> Response:
        """Every patient at a glance."""
        return HTMLResponse(self._pages.get_template("ward.html").render())

    async def device(self, request: Request) -> Response:
        """One patient's page."""
        return HTMLResponse(self._pages.get_template("device.html").render(**request.path_params))

    async def api_overview(self, _request: Request) -> Response:
        """Newest values of every device."""
        return JSONResponse(await run_in_threadpool(self._dashboard.devices))

    async def api_device(self, request: Request) -> Response:
        """One device with trend, beats and strips."""
        asked = request.path_params
        found = await run_in_threadpool(self._dashboard.device, asked["site"], asked["device"])
        return JSONResponse(found or {"error": "no such device"}, status_code=200 if found else 404)

    async def api_delivery(self, _request: Request) -> Response:
        """What has arrived and what is missing."""
        return JSONResponse(await run_in_threadpool(audit, self._store))

    async def events(self, request: Request) -> Response:
        """Server-sent events: something changed."""
        return StreamingResponse(
            self._ticks(request), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _ticks(self, request: Request) -> AsyncIterator[str]:
        """Tell of every alarm, and of changes: when there are any, and now and then anyway, since values go stale."""
        seen, alarm, waited_s = -1, self._live.raised, 0.0
        while not (self._live.closing or await request.is_disconnected()):
            for raised in self._live.alarms(after=alarm):
                alarm = raised.number
                told = {"device": f"{raised.device.site}/{raised.device.device}", "alarm": raised.alarm.code.display}
                yield _event("alarm", json.dumps(told))
            if self._live.changes != seen or waited_s >= _ANYWAY_S:
                seen, waited_s = self._live.changes, 0.0
                yield _event("change", str(seen))
            await asyncio.sleep(_TICK_S)
            waited_s += _TICK_S

    async def fhir_metadata(self, request: Request) -> Response:
        """CapabilityStatement."""
        return _fhir(fhir_server.capability_statement(_base(request)))

    async def fhir_search(self, request: Request) -> Response:
        """Search for Observations."""
        asked = request.query_params.multi_items()
        try:
            found = await run_in_threadpool(fhir_server.search, self._store, asked, base=_base(request))
        except MessageError as error:
            return _fhir(fhir_server.outcome("value", str(error)), status=400)
        return _fhir(found)

    async def fhir_read(self, request: Request) -> Response:
        """One Observation."""
        found = await run_in_threadpool(fhir_server.read, self._store, request.path_params["id"])
        return _fhir(found) if found else _fhir(fhir_server.outcome("not-found", "no such observation"), status=404)


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}/fhir"


def _fhir(resource: Resource, status: int = 200) -> Response:
    return Response(json.dumps(resource), media_type=_FHIR_JSON, status_code=status)


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
