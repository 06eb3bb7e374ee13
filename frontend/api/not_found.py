"""What a WebSocket is told that comes to an address where there is none.

Servers deny it with 403 and no word, which reads like a refused key. Knows no address: the routes do.
"""

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from frontend.api.addresses import PREFIX, meant_socket
from frontend.api.errors import http_refusal
from frontend.api.middleware import MAX_PATH_CHARS, renderer_of


async def refuse_stray(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application. Answers the handshake with 404: under `/v1` in the client's dialect, elsewhere as text."""
    path, meant = scope["path"], meant_socket(scope)
    message = f"There is no WebSocket at {path[:MAX_PATH_CHARS]}." + (f" Was {meant} meant?" if meant else "")
    await WebSocket(scope, receive, send).send_denial_response(
        http_refusal(404, message, renderer_of(scope), {})
        if path.startswith(PREFIX)
        else PlainTextResponse(message, status_code=404)
    )
