"""Direct writes to a connection, for bytes that many connections receive alike.

ASGI handles one message of one connection at a time, through every layer of the application and the server's framing:
50 µs and more, each time. Bytes that have been framed once are written here in 2 µs. `serve_http` puts a `Wire` into
the scope of every request. The response is started and ended over ASGI as usual, and only the bytes in between may be
written directly, in the framing of the response.

This is the one module that uses uvicorn's internals: its protocol classes, and how its server handles signals.
`tests/unit/frontend/servers/test_uvicorn_internals.py` fails when uvicorn changes what this relies on.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from frontend.protocols.long_text import Message
from frontend.servers.inbox import Inbox
from frontend.servers.listening import SilentConnections
from shared.errors import VoxtralError

FIRST_REQUEST_S: Final = 10.0
"""A connection without a complete first request after this time is closed."""
FIRST_PROBE_S: Final = 0.05
LONGEST_PROBE_S: Final = 5.0
"""How often a client that has shut down its writing side is probed. The pauses double up to the longest."""
TLS_GOODBYE_S: Final = 1.0
"""How long a stopping server waits for an idle client to confirm the end of TLS. Many clients never do."""
CLOSE_TIMEOUT_S: Final = 1.0
"""How long a client may take to answer a close. The answer is not read if it follows a message that was rejected."""
_WIRE: Final = "voxtral.wire"
_INBOX: Final = "voxtral.inbox"


class Wire:
    """The connection of one request."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.on_shutdown: Callable[[], None] | None = None
        """Called when the server stops. A response that continues is cut off a moment later."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes written that the kernel has not accepted yet."""
        return self._transport.get_write_buffer_size()

    def write(self, framed: bytes) -> None:
        """Send these bytes without waiting. On a closed connection they are dropped."""
        if not self._transport.is_closing():
            self._transport.write(framed)

    def set_option(self, level: int, option: int, value: int) -> None:
        """Set an option of the socket. Has no effect on a closed connection."""
        if not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(level, option, value)

    def close(self) -> None:
        """Close the connection after the queued data, even if the response is incomplete."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once; queued data is lost."""
        self._transport.abort()

    def shut_down(self) -> None:
        if self.on_shutdown is not None:
            self.on_shutdown()


def wire_of(scope: Scope) -> Wire:
    return cast("Wire", scope["extensions"][_WIRE])


def inbox_of(scope: Scope) -> Inbox:
    """The inbox of a WebSocket."""
    return cast("Inbox", scope["extensions"][_INBOX])


class WiredHttp(H11Protocol):
    """uvicorn's HTTP/1.1, with a wire in the scope, and with limits for silent connections."""

    max_connections = 1000
    """Limit of all connections at one server; above it, the oldest one that waits for no response is closed."""
    silent = SilentConnections()

    _is_half_closed = False
    _next_probe: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.wire = Wire(transport)
        self.app = _with_wire(self.app, self.wire)
        self._first_request_timer = self.loop.call_later(FIRST_REQUEST_S, self._give_up)
        self.silent.add(transport)
        if len(self.connections) > self.max_connections:
            self.silent.end_oldest()

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self.silent.discard(self.transport)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._first_request_timer.cancel()
        self.silent.discard(self.transport)
        super().handle_websocket_upgrade(event)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client writes no more: it has either disconnected, or only shut down its writing side.

        TCP reveals which only when something is written: a client that has disconnected then resets the connection.
        """
        if not self._may_be_probed():
            return False
        self._is_half_closed = True
        self._probe()
        return True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self.silent.add(self.transport)  # until its next request
        if self._is_half_closed and self.cycle.response_complete:
            self.transport.close()
        elif self._is_half_closed:  # the next of several pipelined requests
            self._probe()

    def connection_lost(self, exc: Exception | None) -> None:
        self._first_request_timer.cancel()
        self.silent.discard(self.transport)
        if self._next_probe is not None:
            self._next_probe.cancel()
        super().connection_lost(exc)

    def _may_be_probed(self) -> bool:
        """Whether a complete request waits for its response, from a client that supports interim responses
        (HTTP/1.1)."""
        waits = self.conn.their_state is h11.DONE and self.conn.our_state is h11.SEND_RESPONSE
        return waits and self.conn.their_http_version == b"1.1"

    def _probe(self, again_s: float = FIRST_PROBE_S) -> None:
        """Write interim responses, which clients skip (RFC 9110, 15.2), until the response begins or writing fails."""
        if self.transport.is_closing() or not self._may_be_probed():
            return
        proceed = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
        self.transport.write(self.conn.send(proceed) or b"")
        self._next_probe = self.loop.call_later(again_s, self._probe, min(2 * again_s, LONGEST_PROBE_S))

    def shutdown(self) -> None:
        self.wire.shut_down()
        super().shutdown()
        if self.scheme == "https" and self.transport.is_closing():
            self.loop.call_later(TLS_GOODBYE_S, self.transport.abort)

    def _give_up(self) -> None:
        if self.cycle is None:  # its first request has not arrived
            self.transport.abort()


class WiredWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with a wire in the scope, whose messages are read by an `Inbox`.

    The application receives a long text as `LongMessage`, and invalid framing as an `error`.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.close_timeout = CLOSE_TIMEOUT_S
        self.inbox = Inbox(
            self.queue,
            self.config.ws_max_size,
            self.transport,
            on_control=super().data_received,
            wrapped=_as_event,
        )
        self.app = _with_wire(self.app, Wire(self.transport), self.inbox)

    def data_received(self, data: bytes) -> None:
        if self.conn.state is State.CONNECTING:
            super().data_received(data)
        else:
            self.inbox.take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.inbox.clear()

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self.inbox.drop()
        await super().send(message)

    async def receive(self) -> Any:
        return await self.inbox.get()


class QuietServer(uvicorn.Server):
    """uvicorn's server, which ends without raising the signal that stopped it once more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _as_event(item: Message | VoxtralError) -> dict[str, Any]:
    kind = "error" if isinstance(item, VoxtralError) else "bytes" if isinstance(item, bytes) else "text"
    return {"type": "websocket.receive", kind: item}


def _with_wire(app: Any, wire: Wire, inbox: Inbox | None = None) -> Any:
    async def wired(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = scope.setdefault("extensions", {})
        extensions[_WIRE] = wire
        extensions[_INBOX] = inbox
        await cast("ASGIApp", app)(scope, receive, send)

    return wired
