"""The server of the TCP port. Each connection is served by a handler, to its end."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from frontend.access.access import Access
from frontend.access.guard import STRANGER_MESSAGE_MAX, restrict_stranger
from frontend.servers.listening import stop_signal
from frontend.servers.tls import tls_options
from frontend.servers.transports import TcpTransport, Transport
from shared.config import Settings

SHUTDOWN_S: Final = 1.5

Handle = Callable[[Transport], Awaitable[None]]

log = structlog.get_logger(__name__)


async def serve_tcp(listener: socket.socket, settings: Settings, access: Access, handle: Handle) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = stop_signal()
    clients: dict[asyncio.Task[None], TcpTransport] = {}

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = TcpTransport(reader, writer, settings.server.max_message_bytes)
        restrict_stranger(access, transport)
        task = asyncio.current_task()
        assert task is not None
        clients[task] = transport
        try:
            await handle(transport)
        finally:
            del clients[task]

    server = await asyncio.start_server(serve_one, sock=listener, limit=STRANGER_MESSAGE_MAX, **tls_options(settings))
    log.info("listening", host=settings.server.host, port=settings.tcp_port)
    await stopped.wait()
    await _shut_down(server, clients)


async def _shut_down(server: asyncio.Server, clients: dict[asyncio.Task[None], TcpTransport]) -> None:
    """Stop accepting, close connections, wait to a deadline, then abort. Live sessions can be resumed elsewhere."""
    server.close()
    leaving = list(clients)
    for task in leaving:
        task.cancel()
    if leaving:
        _, late = await asyncio.wait(leaving, timeout=SHUTDOWN_S)
        for task in late:
            clients[task].abort()
        await asyncio.gather(*leaving, return_exceptions=True)
