"""The web application: the page and its settings, the native protocol at `/ws`, and the APIs under `/v1` and `/v2`.

The page uses relative addresses only, so it works under any path prefix that a proxy adds.
"""

import mimetypes
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response, WebSocket
from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend.access.access import Access
from frontend.access.cors import allow_pages
from frontend.access.credentials import chosen_subprotocol, presented_key
from frontend.access.guard import restrict_stranger
from frontend.access.hosts import HostGuard, Hosts
from frontend.api import (
    captions,
    chat,
    client_secrets,
    deepgram,
    middleware,
    models,
    realtime,
    sessions,
    telephony,
    transcriptions,
)
from frontend.api.authentication import Gate
from frontend.api.chat import Chat
from frontend.api.deepgram import ListenRequests
from frontend.api.not_found import refuse_stray
from frontend.api.openapi import asyncapi
from frontend.api.openapi.document import INFO, DocumentedApi
from frontend.api.request_metrics import RequestMetrics
from frontend.api.transcriptions import Transcriber
from frontend.connections.connections import Connections
from frontend.monitoring.process_report import Tally
from frontend.servers.transports import StarletteTransport
from frontend.sessions.erasure import Erasure
from frontend.sessions.gateway import Gateway
from frontend.sessions.placement import MODELS_BY_MODE
from frontend.sessions.recordings import Recordings
from frontend.viewers.viewers import Viewers
from shared.config.sections import ForeignProtocol
from shared.config.settings import Settings
from shared.errors import ForbiddenError, VoxtralError
from shared.outgoing.client import OutgoingClient
from shared.session_options import Mode

STATIC_DIR = Path(__file__).parent.parent / "static"
CLIENT_DIR = STATIC_DIR.parent / "client-js" / "lib"
"""The modules of the JavaScript client, which the page uses."""
READING = ["GET", "HEAD"]
"""HEAD must be supported wherever GET is (RFC 9110, 9.3.2); FastAPI does not add it to routes."""
BASE64_SHARE = 0.74
"""The share of a message's bytes that a file in base64 may have: 3 of 4, minus the other fields."""
HEADERS = {
    "content-security-policy": "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # File names do not change with their content; the ETag makes revalidation cheap.
    "cache-control": "no-cache",
}


def create_app(
    settings: Settings,
    gateway: Gateway,
    *,
    access: Access,
    connections: Connections,
    recordings: Recordings,
    viewers: Viewers,
    erasure: Erasure,
    tally: Tally,
    outgoing: OutgoingClient | None = None,
) -> FastAPI:
    """The application. Each route receives the parts of the process that it needs.

    `outgoing` downloads recordings at URLs that clients name; None rejects URLs.
    """
    app = DocumentedApi(**INFO, docs_url=None, redoc_url=None)
    app.add_middleware(Gate, access=access)
    app.add_middleware(HostGuard, hosts=Hosts(settings), refuse=partial(_refusal_of_host, tally.count_error))
    middleware.install(app, tally.count_error)
    spoken = settings.server.protocols
    for_recordings = settings, gateway, recordings, access, tally
    if ForeignProtocol.OPENAI in spoken or ForeignProtocol.MISTRAL in spoken:  # they share these addresses
        app.include_router(transcriptions.router(Transcriber(*for_recordings)))
        app.include_router(chat.router(Chat(*for_recordings)))
    if ForeignProtocol.DEEPGRAM in spoken:
        app.include_router(deepgram.router(ListenRequests(*for_recordings, outgoing)))
    app.include_router(models.router(gateway))
    app.add_middleware(_FixedHeaders)
    allow_pages(app, settings.access.origins)
    app.add_middleware(RequestMetrics, metrics=tally.metrics)

    _add_pages(app, settings, gateway, access, connections)
    if ForeignProtocol.OPENAI in spoken:
        app.include_router(client_secrets.routes(settings, gateway, access))
    app.include_router(realtime.routes(connections, spoken))
    app.include_router(telephony.routes(settings, connections, viewers, access))
    app.include_router(captions.routes(viewers))
    app.include_router(sessions.routes(erasure))
    _add_files(app)
    return app


def _add_pages(app: FastAPI, settings: Settings, gateway: Gateway, access: Access, connections: Connections) -> None:
    """The documents that browsers open, and the WebSocket of the page."""
    page_token = secrets.token_urlsafe(16)

    @app.api_route("/docs", methods=READING, include_in_schema=False)
    async def documents() -> FileResponse:
        return FileResponse(STATIC_DIR / "docs.html")

    @app.api_route("/asyncapi.json", methods=READING, include_in_schema=False)
    def socket_messages() -> Response:  # in a thread, because reading it takes long
        return Response(asyncapi.as_json(), media_type="application/json")

    @app.api_route("/config.json", methods=READING, include_in_schema=False)
    async def page_config(response: Response) -> dict[str, Any]:
        response.headers["cache-control"] = "no-store"
        return {"page_token": page_token, "key_needed": access.enabled, **await _page_config(settings, gateway)}

    @app.websocket("/ws")
    async def native(websocket: WebSocket) -> None:
        if not _holds(websocket, page_token):
            access.check_origin(websocket)
        headers = websocket.headers.items()
        transport = StarletteTransport(websocket)
        restrict_stranger(access, transport)
        await websocket.accept(subprotocol=chosen_subprotocol(headers))
        await connections.serve_native(transport, presented_key(headers))

    @app.api_route("/captions", methods=READING, include_in_schema=False)
    async def captions_page() -> FileResponse:
        return FileResponse(STATIC_DIR / "captions.html")


def _add_files(app: FastAPI) -> None:
    """The files of the JavaScript client and of the page, which has all paths that no route has, so it comes last."""
    # Some systems map .js to a type that browsers reject for modules.
    mimetypes.add_type("text/javascript", ".js")
    mimetypes.add_type("application/yaml", ".yaml")
    mimetypes.add_type("application/manifest+json", ".webmanifest")
    app.mount("/lib", _PageFiles(directory=CLIENT_DIR))
    app.mount("/", _PageFiles(directory=STATIC_DIR, html=True))


def _refusal_of_host(count_error: Callable[[str], None], error: ForbiddenError, scope: Scope) -> Response:
    count_error(error.code)
    return middleware.answer_to(error, scope)


def _holds(websocket: WebSocket, page_token: str) -> bool:
    """Recognises our page behind a proxy that rewrites `Host` without a header that says so: only our page can read the
    token."""
    return secrets.compare_digest(websocket.query_params.get("page", "").encode(), page_token.encode())


async def _page_config(settings: Settings, gateway: Gateway) -> dict[str, Any]:
    """What the page needs to know. Without a worker (`model` is null) every mode is offered: none is known to fail."""
    try:
        model = (await gateway.status())["model_info"]
    except VoxtralError:
        model = {"model": None, "device": None, "modes": [], "languages": [], "second_models": []}
    return {
        "sample_rate": settings.audio.sample_rate,
        "chunk_size": settings.audio.chunk_size,
        "max_file_bytes": int(settings.server.max_message_bytes * BASE64_SHARE),
        "model": model["model"],
        "device": model["device"],
        "languages": model["languages"],
        "revises": bool(model["second_models"]),
        "modes": [
            {"name": mode, "available": not model["modes"] or mode in model["modes"], "needs": MODELS_BY_MODE[mode]}
            for mode in Mode
        ],
    }


class _PageFiles(StaticFiles):
    """The page's files. They match every path without a route, so WebSocket handshakes reach them too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = refuse_stray if scope["type"] == "websocket" else super().__call__
        await answer(scope, receive, send)


class _FixedHeaders:
    """Adds the fixed headers to every response, unless the response has its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
