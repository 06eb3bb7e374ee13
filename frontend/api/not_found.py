"""The response to a WebSocket handshake at an unknown address.

Servers deny it with 403 and an empty body, which looks like a rejected key. Knows no addresses: the routes do.
"""

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from frontend.api.errors import http_refusal
from frontend.api.middleware import MAX_PATH_CHARS, errors_of
from frontend.api.mistyped_addresses import API_PREFIXES, meant_socket


async def refuse_stray(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application. Answers the handshake with 404: in the API in the client's dialect, elsewhere as text."""
    path, meant = scope["path"], meant_socket(scope)
    message = f"There is no WebSocket at {path[:MAX_PATH_CHARS]}." + (f" Did you mean {meant}?" if meant else "")
    await WebSocket(scope, receive, send).send_denial_response(
        http_refusal(404, message, errors_of(scope), {})
        if path.startswith(API_PREFIXES)
        else PlainTextResponse(message, status_code=404)
    )
