"""Timeouts of one client: for silence, and for a client that does not read."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from frontend.protocols.long_text import Message
from frontend.servers.transports import DisconnectedError, Transport
from shared.errors import IdleTimeoutError

SEND_STALL_S: Final = 10.0
"""A client whose buffers stay full for this long does not read and is disconnected."""
INTERVAL_S: Final = 2.0


class Patience:
    """Records since when a connection waits for its client. Everything that is sent to the client passes through it."""

    def __init__(self, transport: Transport, idle_timeout_s: float, on_stalled: Callable[[float], None]) -> None:
        """`on_stalled` is called with the time for which the client has not read when it is disconnected for that."""
        self._transport = transport
        self._on_stalled = on_stalled
        self._idle_timeout_s = idle_timeout_s
        self._listening_since_s: float | None = None
        self._sending_since_s: float | None = None

    async def hear(self, coming: Awaitable[Message | None]) -> Message | None:
        """Wait for the client's next message. The time for handling its last message does not count as silence."""
        self._listening_since_s = time.monotonic()
        try:
            return await coming
        finally:
            self._listening_since_s = None

    async def send(self, text: bytes) -> None:
        """Send a text message, as the transport does. Raises DisconnectedError."""
        if self._sending_since_s is None:
            self._sending_since_s = time.monotonic()
        try:
            await self._transport.send(text)
        finally:
            self._sending_since_s = None

    async def watch(self, excused: Callable[[], bool]) -> NoReturn:
        """Run until the client has been waited for too long; it may be silent while it is `excused`.

        Raises IdleTimeoutError, or DisconnectedError if the client does not read.
        """
        excused_at_s = time.monotonic()
        while True:
            await asyncio.sleep(min(INTERVAL_S, self._idle_timeout_s / 8))
            now_s = time.monotonic()
            if self._sending_since_s is not None and now_s - self._sending_since_s > SEND_STALL_S:
                self._on_stalled(now_s - self._sending_since_s)
                self._transport.abort()
                raise DisconnectedError
            if excused():
                excused_at_s = now_s
            if self._listening_since_s is None:
                continue
            quiet_since_s = max(self._listening_since_s, self._transport.heard_at_s, excused_at_s)
            if now_s - quiet_since_s > self._idle_timeout_s:
                raise IdleTimeoutError(self._idle_timeout_s)
