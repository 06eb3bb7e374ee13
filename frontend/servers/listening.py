"""The listening socket of a server, and the signals that stop it."""

import asyncio
import signal
import socket
from typing import Final

from shared.errors import StartupError
from shared.ports import listening
from shared.sockets import notice_dead_peer

BACKLOG: Final = 1024
DEAD_PEER_S: Final = 30
"""A peer that does not acknowledge data or a keep-alive probe for this long counts as dead."""
SEND_BUFFER_BYTES: Final = 128 * 1024
"""Events are small: a limit well below the kernel's own saves memory for clients that do not read."""


def listen(host: str, port: int, port_setting: str) -> socket.socket:
    """A listening socket; connections inherit its options.

    Raises `StartupError` that names the port and the setting if it cannot be bound.
    """
    try:
        listener = listening(host, port, BACKLOG)
    except OSError as error:
        raise StartupError(f"Port {port} on {host} ({port_setting}) cannot be used: {error.strerror}.") from None
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    notice_dead_peer(listener, DEAD_PEER_S)
    return listener


def stop_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    return stopped


class SilentConnections:
    """Connections without a request: before the first, or between two. They are cheap to open, so they give way to
    others."""

    def __init__(self) -> None:
        self._by_age: dict[asyncio.WriteTransport, None] = {}

    def add(self, connection: asyncio.WriteTransport) -> None:
        self._by_age[connection] = None

    def discard(self, connection: asyncio.WriteTransport) -> None:
        """It has a request, or has ended."""
        self._by_age.pop(connection, None)

    def end_oldest(self) -> None:
        """Abort the one that has been silent for longest. There is at least one: the newest connection."""
        oldest = next(iter(self._by_age))
        self.discard(oldest)
        oldest.abort()
