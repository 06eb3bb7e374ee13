"""The received messages of a WebSocket client that have not been read yet: bounded, and parsed as late as possible.

Used by both WebSocket servers. The libraries handle the handshake, control frames and the close.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from frontend.protocols.long_text import Message
from frontend.servers.websocket_frames import ControlFrame, WebSocketReader
from shared.errors import FrameInvalidError, MessageTooLargeError, VoxtralError

MAX_WAITING: Final = 16
MAX_WAITING_BYTES: Final = 64 * 1024
CONTROL_FRAME_MAX_BYTES: Final = 131
"""A control frame of a client: 2 bytes of header, 4 of mask, 125 of payload (RFC 6455, section 5.5)."""
MAX_UNREAD_BYTES: Final = 1 << 20
"""A client that sends pings and does not read the answers is disconnected when so much is queued for it."""


class Inbox:
    """The messages of one connection. They are put into `queue`, as is whatever the connection itself puts there."""

    def __init__(
        self,
        queue: "asyncio.Queue[Any]",
        limit_bytes: int,
        transport: asyncio.Transport,
        *,
        on_control: Callable[[bytes], None],
        wrapped: Callable[[Message | VoxtralError], Any],
    ) -> None:
        """`on_control` gets each raw control frame; `wrapped` converts a message, or an error, to an item of the
        queue."""
        self.heard_at_s = 0.0
        """When a part of a message arrived (monotonic clock); a pong is no sign of life of the client's program."""
        self._limit_bytes = limit_bytes
        self._reader = WebSocketReader(limit_bytes)
        self._queue = queue
        self._queued_bytes = 0
        self._transport = transport
        self._on_control = on_control
        self._wrapped = wrapped
        self._is_restricted = False
        self._is_wanted = False
        self._is_broken = False
        self._drops = False
        self._is_paused = False

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended. The client's close is not seen while there is no room for messages."""
        return self._transport.is_closing()

    def restrict(self, limit_bytes: int) -> None:
        """Until `trust`, accept messages up to this size, and each only when it is requested."""
        self._is_restricted = True
        self._reader.limit_bytes = limit_bytes

    def trust(self) -> None:
        self._is_restricted = False
        self._reader.limit_bytes = self._limit_bytes

    def take(self, received: bytes) -> None:
        """Bytes have arrived."""
        if len(received) > CONTROL_FRAME_MAX_BYTES:
            self.heard_at_s = time.monotonic()
        if self._is_broken:
            return
        self._reader.feed(received)
        self._read()
        if self._transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._transport.abort()

    async def get(self) -> Any:
        """The next item of the queue. Cancelling it loses nothing."""
        self._is_wanted = True
        try:
            self._read()
            return await self._queue.get()
        finally:
            self._is_wanted = False

    def drop(self) -> None:
        """The connection is being closed: ignore messages, but handle the client's answer to the close."""
        self._drops = True
        self._reader.drop_messages()
        self._read()

    def end(self, error: VoxtralError | None) -> None:
        """No more items follow, because of an error or (None) because the connection has ended."""
        self._queue.put_nowait(None if error is None else self._wrapped(error))

    def clear(self) -> None:
        """Drop the received parts of incomplete messages."""
        self._is_broken = True
        self._reader.clear()

    def _read(self) -> None:
        while not self._is_broken and self._has_room():
            try:
                found = self._reader.next()
            except (FrameInvalidError, MessageTooLargeError) as error:
                self._is_broken = True
                self._reader.clear()
                self._queue.put_nowait(self._wrapped(error.with_traceback(None)))
                break
            if found is None:
                break
            if isinstance(found, ControlFrame):
                self._on_control(found.raw)
            else:
                self._queued_bytes += len(found)
                self._queue.put_nowait(self._wrapped(found))
        self._pace()

    def _has_room(self) -> bool:
        if self._drops:
            return True
        waiting = self._queue.qsize()
        if not waiting:
            self._queued_bytes = 0
        if self._is_restricted:
            return self._is_wanted and not waiting
        return waiting < MAX_WAITING and self._queued_bytes < MAX_WAITING_BYTES

    def _pace(self) -> None:
        """Read the socket only if there is room."""
        paused = not self._has_room() and not self._is_broken
        if paused == self._is_paused or self._transport.is_closing():
            return
        self._is_paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
