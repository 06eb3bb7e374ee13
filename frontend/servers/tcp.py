"""The server of TCP ports. Each connection is served by a handler, to its end."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import structlog

from frontend.access.access import Access
from frontend.access.guard import STRANGER_MESSAGE_MAX, restrict_stranger
from frontend.protocols.native.framing import FrameReader
from frontend.protocols.wyoming.framing import EventReader, unframed
from frontend.servers.listening import stop_signal
from frontend.servers.tls import tls_options
from frontend.servers.transports import TcpTransport, Transport
from shared.config.settings import Settings

SHUTDOWN_S: Final = 1.5

Handle: TypeAlias = Callable[[Transport], Awaitable[None]]
Wrap: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], TcpTransport]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Port:
    listener: socket.socket
    wrap: Wrap
    """Makes the transport of a new connection."""
    handle: Handle
    options: dict[str, Any]
    """More options of `asyncio.start_server`."""


def native_port(listener: socket.socket, settings: Settings, access: Access, handle: Handle) -> Port:
    """A port of the native protocol."""

    def wrap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> TcpTransport:
        transport = TcpTransport(reader, writer, FrameReader(settings.server.max_message_bytes))
        restrict_stranger(access, transport)
        return transport

    return Port(listener, wrap, handle, tls_options(settings))


def wyoming_port(listener: socket.socket, handle: Handle) -> Port:
    """A port of the Wyoming protocol, whose clients present no key and speak no TLS."""

    def wrap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> TcpTransport:
        return TcpTransport(reader, writer, EventReader(), unframed)

    return Port(listener, wrap, handle, {})


async def serve_tcp(ports: Iterable[Port]) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = stop_signal()
    clients: dict[asyncio.Task[None], TcpTransport] = {}
    async with AsyncExitStack() as servers:
        for port in ports:
            server = await _start(port, clients)
            servers.callback(server.close)
            host, number = port.listener.getsockname()[:2]
            log.info("listening", host=host, port=number)
        await stopped.wait()
    await _end(clients)


async def _start(port: Port, clients: dict[asyncio.Task[None], TcpTransport]) -> asyncio.Server:
    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = port.wrap(reader, writer)
        task = asyncio.current_task()
        assert task is not None
        clients[task] = transport
        try:
            await port.handle(transport)
        finally:
            del clients[task]

    return await asyncio.start_server(serve_one, sock=port.listener, limit=STRANGER_MESSAGE_MAX, **port.options)


async def _end(clients: dict[asyncio.Task[None], TcpTransport]) -> None:
    """Close connections, wait to a deadline, then abort. Live sessions of the native protocol can be resumed
    elsewhere."""
    leaving = list(clients)
    for task in leaving:
        task.cancel()
    if leaving:
        _, late = await asyncio.wait(leaving, timeout=SHUTDOWN_S)
        for task in late:
            clients[task].abort()
        await asyncio.gather(*leaving, return_exceptions=True)
