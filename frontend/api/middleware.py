"""What all responses of the HTTP APIs have in common: errors in the client's dialect, a request id, and reading the
rest of a rejected upload.

Knows no routes. Outside `/v1` and `/v2` it answers only requests to unknown addresses, and rejected WebSockets.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from frontend.api.deepgram_errors import ADDRESSES, DeepgramErrors
from frontend.api.errors import http_refusal, refusal
from frontend.api.mistyped_addresses import API_PREFIXES, is_socket, meant_address, methods_at
from frontend.api.renderers import RENDERERS, ApiDialect, ErrorRenderer, Renderer
from frontend.connections.closing import drop_frames
from frontend.protocols.error_statuses import status_of
from shared.errors import InvalidFieldError, VoxtralError
from shared.incidents import incident

MAX_PATH_CHARS: Final = 200
"""The longest part of an unknown path that errors repeat."""
READING: Final = ("GET", "HEAD")
UPGRADE: Final = {"upgrade": "websocket", "connection": "upgrade"}
"""The headers of a response with 426 (RFC 9110, 15.5.22 and 7.8)."""
LINGER_S: Final = 20.0
"""How long the upload of a rejected client is still read. Closing at once would reset its connection, which would lose
the response."""

log = structlog.get_logger(__name__)


def install(app: FastAPI, count_error: Callable[[str], None]) -> None:
    """Answer errors under `/v1` and `/v2` in the shapes of the APIs, and rejected WebSockets anywhere. `count_error`
    receives the code of each."""
    app.add_middleware(ApiAnswers, count_error=count_error)
    app.add_exception_handler(HTTPException, _router_refusal)
    app.add_exception_handler(RequestValidationError, _as_field_error)


def errors_of(scope: Scope) -> ErrorRenderer:
    """The shape of errors for the client: Deepgram's at its addresses, elsewhere that of the client's dialect."""
    if scope["path"] in ADDRESSES:
        state = scope.setdefault("state", {})
        return DeepgramErrors(state.setdefault("request_id", _new_request_id()))
    return renderer_of(scope)


def renderer_of(scope: Scope) -> Renderer:
    """The client's dialect: from the address, else from the user agent, else what a route has found out."""
    state = scope.setdefault("state", {})
    named = QueryParams(scope.get("query_string", b"")).get("dialect")
    if named in tuple(ApiDialect):
        return RENDERERS[ApiDialect(named)]
    agent = Headers(scope=scope).get("user-agent", "").lower()
    known = next((dialect for dialect in ApiDialect if dialect in agent), None)
    return RENDERERS[known or state.get("dialect", ApiDialect.OPENAI)]


def answer_to(error: VoxtralError, scope: Scope) -> Response:
    """The response for an error: in the API in the shape of the client's, elsewhere as text."""
    if scope["path"].startswith(API_PREFIXES):
        return refusal(error, errors_of(scope))
    return PlainTextResponse(f"{error.message}\n", status_of(error).status)


class ApiAnswers:
    """Turns exceptions of routes into responses, adds request ids, and reads rejected uploads to their end."""

    def __init__(self, app: ASGIApp, count_error: Callable[[str], None]) -> None:
        self._app = app
        self._count_error = count_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._open(scope, receive, send)
        elif scope["type"] == "http" and not _is_for_the_page(scope):
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An error before the WebSocket is accepted denies its handshake; client libraries show the response."""
        request_id = scope.setdefault("state", {}).setdefault("request_id", _new_request_id())
        is_open = False

        async def send_numbered(message: Message) -> None:
            nonlocal is_open
            is_open = is_open or message["type"] == "websocket.accept"
            if message["type"] == "websocket.http.response.start":
                MutableHeaders(scope=message).setdefault("x-request-id", request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_numbered)
        except VoxtralError as error:
            if is_open:
                raise
            self._count_error(error.code)
            await WebSocket(scope, receive, send_numbered).send_denial_response(answer_to(error, scope))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(scope, receive, send)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect as left:
            log.debug("api_client_disconnected", request_id=exchange.request_id)
            drop_frames(left)
        except Exception as failure:  # noqa: BLE001 -- the last frame: unexpected errors become incidents
            error = failure if isinstance(failure, VoxtralError) else incident(failure, None)
            self._count_error(error.code)
            answer = refusal(error, errors_of(scope))
            drop_frames(failure)  # before the rest of an upload is read: the error would hold its received part
            if not exchange.answered:
                await answer(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self.request_id = _new_request_id()
        self.answered = False
        self._receive = receive
        self._send = send
        self._is_refusal = False
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        # A client that waits for a "100 Continue" that is never sent sends no body.
        self._body_comes = has_body and "expect" not in headers

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_comes = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = True
            self._is_refusal = message["status"] >= 400
            MutableHeaders(scope=message).setdefault("x-request-id", self.request_id)
        elif self._is_refusal and self._body_comes and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._discard_body()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _discard_body(self) -> None:
        try:
            async with asyncio.timeout(LINGER_S):
                while self._body_comes:
                    await self.receive()
        except TimeoutError:
            pass


def _is_for_the_page(scope: Scope) -> bool:
    """Whether a request is not for the API, not even with a wrong address: requests for the API send bodies."""
    return not scope["path"].startswith(API_PREFIXES) and scope["method"] in READING


def _new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


async def _router_refusal(request: Request, refused: Exception) -> Response:
    """Unknown address or unsupported method. The page's files match every path, so their own answer would mislead."""
    assert isinstance(refused, HTTPException)
    scope, full_path = request.scope, request.scope["path"]
    renderer, headers, path = errors_of(scope), dict(refused.headers or {}), full_path[:MAX_PATH_CHARS]
    is_api, meant = full_path.startswith(API_PREFIXES), None
    if refused.status_code in (404, 405):
        meant = meant_address(scope)
    elif is_api:
        return http_refusal(refused.status_code, str(refused.detail), renderer, headers)
    if refused.status_code == 405 and meant is None and not is_api and not methods_at(scope, full_path):
        return http_refusal(404, f"There is nothing at {path} that supports {request.method}.", renderer, {})
    if not is_api and meant is None:
        return await http_exception_handler(request, refused)
    methods = methods_at(scope, full_path)
    reads = request.method in READING and "GET" not in methods  # as a handshake without its upgrade does
    if is_socket(scope, full_path) and (reads or not methods):
        message = f"{path} is the address of a WebSocket: use ws:// or wss://, and let proxies forward Upgrade."
        return http_refusal(426, message, renderer, UPGRADE)
    if methods:
        allowed = ", ".join(methods)
        message = f"{path} does not support {request.method}; allowed: {allowed}."
        return http_refusal(405, message, renderer, {"allow": allowed})
    hint = f" Did you mean {meant}?" if meant else ""
    return http_refusal(404, f"There is nothing at {path}.{hint}", renderer, {})


async def _as_field_error(_request: Request, invalid: Exception) -> Response:
    """FastAPI's own checks of path and query parameters, which only routes of the API have. Raises InvalidFieldError
    for `ApiAnswers`."""
    assert isinstance(invalid, RequestValidationError)
    first: dict[str, Any] = next(iter(invalid.errors()))
    allowed = first.get("ctx", {}).get("expected") or first["msg"]
    raise InvalidFieldError(str(first["loc"][-1]), first.get("input"), allowed)
