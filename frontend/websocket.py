"""The native protocol on a WebSocket port of its own: `python -m frontend.websocket`."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import structlog
import uvloop
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from frontend.access.credentials import chosen_subprotocol, presented_key
from frontend.access.guard import restrict_stranger
from frontend.access.hosts import Hosts
from frontend.connections.native import serve_connection
from frontend.servers.listening import SilentConnections, listen, stop_signal
from frontend.servers.tls import tls_options
from frontend.servers.transports import FramedConnection, WebSocketTransport
from frontend.sessions.gateway import Gateway
from shared.config import Settings
from shared.entry import run_process
from shared.errors import ForbiddenError
from shared.process import return_large_blocks

PING_INTERVAL_S: Final = 20.0
"""Keeps proxies from closing quiet connections. A missing pong means nothing here: it may be stuck behind audio that
the brake holds back. That a peer is dead is noticed by TCP (`sockets.DEAD_PEER_S`) and by the idle timeout."""
CLOSE_TIMEOUT_S: Final = 1.0
SHUTDOWN_S: Final = 1.5
HANDSHAKES_SHARE: Final = 2
"""Connections that have not shown what they want, and those that are closing, are as many as the others at most."""
SERVICE_RESTART: Final = CloseCode.SERVICE_RESTART

log = structlog.get_logger(__name__)


async def serve_websocket(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. Raises `StartupError` when the port cannot be had."""
    with listen(settings.server.host, settings.websocket_port, "server.tcp_ports[0]") as listener:
        async with Gateway.running(settings, "websocket") as gateway:
            stopped = stop_signal()
            connections: set[ServerConnection] = set()
            silent = SilentConnections()
            hosts = Hosts(settings)

            class Connection(FramedConnection):
                """Known from its first byte to its last; the library forgets those that are closing."""

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

            async def handle(connection: ServerConnection) -> None:
                assert isinstance(connection, FramedConnection)
                key = None if connection.request is None else presented_key(connection.request.headers.raw_items())
                await serve_connection(WebSocketTransport(connection), gateway, settings, key)

            def refuse_foreign(connection: ServerConnection, request: Request) -> Response | None:
                silent.discard(connection.transport)
                try:
                    hosts.check(request.headers.get_all("Host"))
                    gateway.access.check_origin_beside(_joined(request.headers))
                except ForbiddenError as error:
                    return connection.respond(HTTPStatus.FORBIDDEN, f"{error.message}\n")
                assert isinstance(connection, FramedConnection)
                restrict_stranger(gateway.access, connection.inbox)  # before its first message can come
                return None

            server = await serve(
                handle,
                sock=listener,
                **tls_options(settings),
                compression=None,  # audio does not shrink, and deflating holds small messages back
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
    """With lower-case names; a header that comes twice is one with a comma, as RFC 9110 has it."""
    return {name.lower(): ", ".join(headers.get_all(name)) for name in headers}


def _chosen(connection: ServerConnection, _offered: Sequence[Subprotocol]) -> Subprotocol | None:
    assert connection.request is not None
    chosen = chosen_subprotocol(connection.request.headers.raw_items())
    return None if chosen is None else Subprotocol(chosen)


async def _shut_down(server: Server, connections: set[ServerConnection]) -> None:
    """Stop accepting, say goodbye, wait to a deadline, break off. Live sessions can be resumed elsewhere."""
    server.close(code=SERVICE_RESTART, reason="server stops")
    try:
        async with asyncio.timeout(SHUTDOWN_S):
            await server.wait_closed()
    except TimeoutError:
        for connection in list(connections):
            connection.transport.abort()
        await server.wait_closed()


def _quiet_logger() -> logging.Logger:
    """The library reports every failed handshake with a traceback; whoever scans the port would fill the log."""
    logger = logging.getLogger("websockets.server")
    logger.setLevel(logging.CRITICAL)
    return logger


def main(settings: Settings) -> None:
    return_large_blocks()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_websocket(settings))


if __name__ == "__main__":
    sys.exit(run_process(main, "websocket"))
