"""One viewer of a session: events are written directly to the connection, without waiting for it.

The connection's own buffer is the queue. While more than a little is queued, partials are skipped, because the next
one replaces them; finals are not. If they no longer fit, or nothing is read for too long, the viewer is dropped.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from functools import cached_property
from typing import Final

import orjson

from frontend.servers.direct_writes import Wire
from frontend.sessions.session import TERMINAL
from shared.bus.event_log import LoggedEvent
from shared.errors import ViewerSlowError, VoxtralError
from shared.events import EventType

ROOM_FOR_PARTIALS_BYTES: Final = 4096
"""While more than this is queued, partials are skipped."""
MAX_WAITING_BYTES: Final = 64 * 1024
STALL_S: Final = 20.0
"""Less than the time after which the kernel closes a connection that does not read (`listening.DEAD_PEER_S`), so the
viewer may still read the reason."""
KERNEL_BUFFER_BYTES: Final = 32 * 1024
"""For each viewer: there are many, and data in the kernel's buffer cannot be withdrawn from one that does not read."""


class Frame:
    """One event, encoded once for all viewers of a session."""

    def __init__(self, event: LoggedEvent) -> None:
        self.raw = event.raw
        self.type = event.type
        self.seq: int | None = event.wire.get("seq")
        self.segment: int | None = event.wire.get("segment")
        self.is_partial = self.type == EventType.PARTIAL
        self.is_last = self.type in TERMINAL

    @cached_property
    def sse(self) -> bytes:
        """The server-sent event. It has no name: all reach a browser's `onmessage`, and `error` stays the browser's
        own."""
        number = b"" if self.seq is None else b"id: %d\n" % self.seq
        return b"%bdata: %b\n\n" % (number, self.raw)

    @cached_property
    def sse_chunk(self) -> bytes:
        """The same as a chunk of an HTTP/1.1 response."""
        return chunk(self.sse)

    @cached_property
    def message(self) -> bytes:
        """The event as a WebSocket text message of a server."""
        return _text_frame(self.raw)


Encode = Callable[[Frame], bytes]


class Viewer:
    """Created for one connection, and ends with it."""

    def __init__(self, wire: Wire, encode: Encode, heartbeat: bytes) -> None:
        wire.set_option(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        self._wire = wire
        self._encode = encode
        self._heartbeat = heartbeat
        self._behind_since_s: float | None = None
        self.over = asyncio.Event()
        """Set when no more events are to be sent."""
        self.error: VoxtralError | None = None
        """Why it ended before its session did."""
        wire.on_shutdown = self.over.set

    def show(self, frame: Frame) -> None:
        """Send an event, or skip it if it is a partial and others are queued."""
        if self.over.is_set():
            return
        waiting_bytes = self._wire.waiting_bytes
        if frame.is_partial and waiting_bytes > ROOM_FOR_PARTIALS_BYTES:
            return
        framed = self._encode(frame)
        if waiting_bytes and waiting_bytes + len(framed) > MAX_WAITING_BYTES:
            self.drop(ViewerSlowError(f"The viewer left more than {MAX_WAITING_BYTES} bytes unread."))
            return
        self._wire.write(framed)
        if frame.is_last:
            self.over.set()

    def beat(self) -> None:
        """Send a heartbeat, which keeps proxies from closing the connection."""
        if not self.over.is_set() and self._wire.waiting_bytes == 0:
            self._wire.write(self._heartbeat)

    def check(self) -> None:
        """Drop the viewer if it does not read. To be called regularly."""
        now_s = time.monotonic()
        if self._wire.waiting_bytes == 0:
            self._behind_since_s = None
        elif self._behind_since_s is None:
            self._behind_since_s = now_s
        elif now_s - self._behind_since_s > STALL_S:
            self.drop(ViewerSlowError(f"The viewer has not read any events for {STALL_S:g} s."))

    def drop(self, error: VoxtralError) -> None:
        """End the viewer early, with a reason."""
        if not self.over.is_set():
            self.error = error
            self.over.set()


def error_frame(error: VoxtralError, seq: int | None = None) -> Frame:
    """The last event of a viewer. With a `seq` the session has ended; without one it continues without this viewer."""
    wire: dict[str, object] = {"type": EventType.ERROR, **error.to_wire()}
    if seq is not None:
        wire["seq"] = seq
    return Frame(LoggedEvent(orjson.dumps(wire), wire))


def chunk(content: bytes) -> bytes:
    """A chunk of an HTTP/1.1 response (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(content), content)


def _text_frame(content: bytes) -> bytes:
    """A whole message, unmasked, as servers send it (RFC 6455, section 5.2)."""
    length = len(content)
    if length < 126:
        return bytes((0x81, length)) + content
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big") + content
    return b"\x81\x7f" + length.to_bytes(8, "big") + content
