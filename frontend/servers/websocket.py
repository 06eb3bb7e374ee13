"""The server of the WebSocket port. Each connection is served by a handler, from its handshake to its end."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from frontend.access.access import Access
from frontend.access.credentials import chosen_subprotocol, presented_key
from frontend.access.guard import restrict_stranger
from frontend.access.hosts import Hosts
from frontend.servers.listening import SilentConnections, stop_signal
from frontend.servers.tls import tls_options
from frontend.servers.transports import FramedConnection, Transport, WebSocketTransport
from shared.config.settings import Settings
from shared.errors import ForbiddenError

PING_INTERVAL_S: Final = 20.0
"""Keeps proxies from closing quiet connections. A missing pong is ignored: it may wait behind audio under backpressure.
Dead peers are detected by TCP (`listening.DEAD_PEER_S`) and by the idle timeout."""
CLOSE_TIMEOUT_S: Final = 1.0
SHUTDOWN_S: Final = 1.5
HANDSHAKES_SHARE: Final = 2
"""Connections before their handshake, and closing ones, may be as many as the others."""
SERVICE_RESTART: Final = CloseCode.SERVICE_RESTART

Handle = Callable[[Transport, str | None], Awaitable[None]]

log = structlog.get_logger(__name__)


async def serve_websocket(listener: socket.socket, settings: Settings, access: Access, handle: Handle) -> None:
    """Serve until SIGINT or SIGTERM. `handle` gets each connection, and the key of its handshake."""
    stopped = stop_signal()
    connections: set[ServerConnection] = set()
    silent = SilentConnections()
    hosts = Hosts(settings)

    class Connection(FramedConnection):
        """Tracked from its first byte to its last; the library does not track closing connections."""

        limit_bytes = settings.server.max_message_bytes

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            connections.add(self)
            silent.add(self.transport)
            if len(connections) > HANDSHAKES_SHARE * settings.server.max_connections:
                silent.end_oldest()

        def connection_lost(self, exc: Exception | None) -> None:
            connections.discard(self)
            silent.discard(self.transport)
            super().connection_lost(exc)

    async def serve_one(connection: ServerConnection) -> None:
        assert isinstance(connection, FramedConnection)
        key = None if connection.request is None else presented_key(connection.request.headers.raw_items())
        await handle(WebSocketTransport(connection), key)

    def refuse_foreign(connection: ServerConnection, request: Request) -> Response | None:
        silent.discard(connection.transport)
        try:
            hosts.check(request.headers.get_all("Host"))
            access.check_origin_beside(_joined(request.headers))
        except ForbiddenError as error:
            return connection.respond(HTTPStatus.FORBIDDEN, f"{error.message}\n")
        assert isinstance(connection, FramedConnection)
        restrict_stranger(access, connection.inbox)  # before its first message can arrive
        return None

    server = await serve(
        serve_one,
        sock=listener,
        **tls_options(settings),
        compression=None,  # audio does not compress, and deflating delays small messages
        create_connection=Connection,
        process_request=refuse_foreign,
        select_subprotocol=_chosen,
        ping_interval=PING_INTERVAL_S,
        ping_timeout=None,
        close_timeout=CLOSE_TIMEOUT_S,
        logger=_quiet_logger(),
    )
    log.info("listening", host=settings.server.host, port=settings.websocket_port)
    await stopped.wait()
    await _shut_down(server, connections)


def _joined(headers: Headers) -> dict[str, str]:
    """With lower-case names; a repeated header becomes one with a comma, as in RFC 9110."""
    return {name.lower(): ", ".join(headers.get_all(name)) for name in headers}


def _chosen(connection: ServerConnection, _offered: Sequence[Subprotocol]) -> Subprotocol | None:
    assert connection.request is not None
    chosen = chosen_subprotocol(connection.request.headers.raw_items())
    return None if chosen is None else Subprotocol(chosen)


async def _shut_down(server: Server, connections: set[ServerConnection]) -> None:
    """Stop accepting, close connections, wait to a deadline, then abort. Live sessions can be resumed elsewhere."""
    server.close(code=SERVICE_RESTART, reason="server stops")
    try:
        async with asyncio.timeout(SHUTDOWN_S):
            await server.wait_closed()
    except TimeoutError:
        for connection in list(connections):
            connection.transport.abort()
        await server.wait_closed()


def _quiet_logger() -> logging.Logger:
    """The library logs every failed handshake with a traceback; port scans would fill the log."""
    logger = logging.getLogger("websockets.server")
    logger.setLevel(logging.CRITICAL)
    return logger
