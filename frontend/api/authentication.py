"""Authentication of everything under `/v1` and `/v2`: the client is identified before a route or a body is looked at.

A route gets the principal from `principal_of`, so it cannot skip the check. Viewers of a session present a token of
that session instead of a key.
"""

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from frontend.access.access import Access
from frontend.access.credentials import chosen_subprotocol
from frontend.access.principal import Principal
from frontend.api.mistyped_addresses import API_PREFIXES

WITH_TOKENS_OF_THEIR_OWN: Final = ("/v1/sessions/",)
WITH_PROOFS_OF_THEIR_OWN: Final = ("/v1/telephony/twilio", "/v1/telephony/telnyx")
"""WebSockets of services that present no key."""


def principal_of(connection: HTTPConnection) -> Principal:
    """The principal that sends this request, or opens this WebSocket, under `/v1` and `/v2`."""
    principal: Principal = connection.state.principal
    return principal


class Gate:
    """ASGI middleware. Raises what `Access.admit_http` and `Access.admit_websocket` raise."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        proves_itself = scope["type"] == "websocket" and path in WITH_PROOFS_OF_THEIR_OWN
        if not path.startswith(API_PREFIXES) or path.startswith(WITH_TOKENS_OF_THEIR_OWN) or proves_itself:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            principal = await self._access.admit_http(Request(scope))
            scope.setdefault("state", {})["principal"] = principal
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._open(scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = await self._access.admit_websocket(WebSocket(scope, receive, send))
        scope.setdefault("state", {})["principal"] = principal

        async def send_with_subprotocol(message: Message) -> None:
            """For every route: browsers may offer their key as a subprotocol, and the key must never be selected."""
            if message["type"] == "websocket.accept":
                message = {**message, "subprotocol": chosen_subprotocol(Headers(scope=scope).items())}
            await send(message)

        await self._app(scope, receive, send_with_subprotocol)
