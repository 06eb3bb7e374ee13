"""A handler's direct way to its connection, for what many connections get byte for byte alike.

ASGI takes one message of one connection at a time, through every layer of the application and the server's framing:
50 µs and more, each time. Who has framed the bytes once writes them here for 2 µs. `serve_http` puts a `Wire` into the
scope of every request; the response is begun and ended over ASGI as always, and only what comes between may be written
directly, in the framing that the response has.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_EXTENSION: Final = "voxtral.wire"


class Wire:
    """The connection of one request."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.on_shutdown: Callable[[], None] | None = None
        """Called when the server stops. A response that goes on then is cut off a moment later."""

    @property
    def waiting_bytes(self) -> int:
        """What has been written and the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def write(self, framed: bytes) -> None:
        """Send these bytes, never waiting. On a connection that has ended they are dropped."""
        if not self._transport.is_closing():
            self._transport.write(framed)

    def set_option(self, level: int, option: int, value: int) -> None:
        """An option of the socket."""
        self._transport.get_extra_info("socket").setsockopt(level, option, value)

    def abort(self) -> None:
        """End the connection at once; what waits is lost."""
        self._transport.abort()

    def shut_down(self) -> None:
        if self.on_shutdown is not None:
            self.on_shutdown()


def wire_of(scope: Scope) -> Wire:
    return cast("Wire", scope["extensions"][_EXTENSION])


class WiredHttp(H11Protocol):
    """uvicorn's HTTP/1.1, with a wire in the scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.wire = Wire(transport)
        self.app = _with_wire(self.app, self.wire)

    def shutdown(self) -> None:
        self.wire.shut_down()
        super().shutdown()


class WiredWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with a wire in the scope."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app = _with_wire(self.app, Wire(cast("asyncio.Transport", transport)))


def _with_wire(app: Any, wire: Wire) -> Any:
    async def wired(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[_EXTENSION] = wire
        await cast("ASGIApp", app)(scope, receive, send)

    return wired
