"""The three transports of a client, behind one small interface.

Nothing here knows what a message means.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from frontend.protocols.long_text import Message
from frontend.protocols.native.framing import frame
from frontend.servers.direct_writes import inbox_of
from frontend.servers.inbox import Inbox
from shared.errors import FrameInvalidError, VoxtralError

READ_BYTES: Final = 64 * 1024
LINGER_S: Final = 1.0
"""After an error that closes a TCP connection, data of the client is read and discarded for this long: closing at once
would reset the connection, and the client would never see the error."""
ORDERLY: Final = frozenset({CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD})
"""With these codes, clients disconnect for good: 1000 and no code by `close()`, 1001 when a page is left."""
MAX_HANDSHAKE_BYTES: Final = 32 * 1024
"""The limit of the request line and headers of an HTTP request or a WebSocket handshake."""
MAX_REASON_CHARS: Final = 40
"""A close frame has at most 123 bytes of UTF-8."""


class DisconnectedError(Exception):
    """Nothing more can be sent to the client."""


class Transport(Protocol):
    guesses_text: bool
    """Whether `str` may be audio that looks like text; see `framing`."""

    @property
    def address(self) -> str | None:
        """The client's host, as an IP address."""

    @property
    def heard_at_s(self) -> float:
        """Monotonic time when a part of a message arrived, complete or not."""

    @property
    def gone(self) -> bool:
        """Whether nothing more can be sent. A TCP client may stop sending and still receive."""

    @property
    def closed(self) -> bool:
        """Whether the connection has ended. Messages that arrived before can still be read, if it is not `gone`."""

    @property
    def left(self) -> bool:
        """Whether the client itself has closed its side cleanly, after a complete message."""

    def restrict(self, limit_bytes: int) -> None:
        """Until `trust`, accept messages up to this size, and hold at most one. Must be called first."""

    def trust(self) -> None:
        """Lift the limit of `restrict`. Applies to the next message that `receive` waits for."""

    async def receive(self) -> Message | None:
        """The next message; None if no more follow.

        Raises FrameInvalidError and MessageTooLargeError, after which only `close` may be called. Cancelling it loses
        nothing.
        """

    async def send(self, text: bytes) -> None:
        """Send a text message in UTF-8; waits while the client's buffers are full. Raises DisconnectedError."""

    async def close(self, code: int, reason: str) -> None:
        """Close the connection. Data that was sent before still arrives."""

    def abort(self) -> None:
        """End the connection at once."""


class FramedConnection(ServerConnection):
    """A connection of the `websockets` library whose messages are read by an `Inbox`."""

    limit_bytes: int
    """The limit of a message. Set by the server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._handshake_bytes = 0
        self.inbox = Inbox(
            asyncio.Queue(), self.limit_bytes, self.transport, on_control=self._take_control, wrapped=lambda item: item
        )

    def data_received(self, data: bytes) -> None:
        if self.protocol.state is not State.CONNECTING:
            self.inbox.take(data)
            return
        self._handshake_bytes += len(data)
        if self._handshake_bytes > MAX_HANDSHAKE_BYTES:
            self.transport.abort()
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.inbox.clear()
        self.inbox.end(None)

    @property
    def is_left_in_order(self) -> bool:
        """Whether the client has closed first, with a code that means that it disconnects for good."""
        closed = self.protocol.close_rcvd
        return closed is not None and bool(self.protocol.close_rcvd_then_sent) and closed.code in ORDERLY

    def _take_control(self, frame: bytes) -> None:
        super().data_received(frame)
        if self.protocol.parser_exc is not None:
            self.inbox.end(FrameInvalidError(f"The WebSocket framing is invalid: {self.protocol.parser_exc}."))
        elif self.protocol.state is not State.OPEN:
            self.inbox.end(None)


class WebSocketTransport:
    """A connection of the `websockets` library."""

    guesses_text = False

    def __init__(self, connection: FramedConnection) -> None:
        self._connection = connection
        self.gone = self.left = False

    @property
    def address(self) -> str | None:
        return _host(self._connection.transport)

    @property
    def heard_at_s(self) -> float:
        return self._connection.inbox.heard_at_s

    @property
    def closed(self) -> bool:
        return self.gone or self._connection.inbox.is_closed

    def restrict(self, limit_bytes: int) -> None:
        self._connection.inbox.restrict(limit_bytes)

    def trust(self) -> None:
        self._connection.inbox.trust()

    async def receive(self) -> Message | None:
        if self.gone:
            return None
        found: Message | VoxtralError | None = await self._connection.inbox.get()
        if isinstance(found, VoxtralError):
            raise found
        if found is None:
            self.gone = True
            self.left = self._connection.is_left_in_order
        return found

    async def send(self, text: bytes) -> None:
        try:
            await self._connection.send(text, text=True)
        except ConnectionClosed:
            raise DisconnectedError from None

    async def close(self, code: int, reason: str) -> None:
        self._connection.inbox.drop()
        await self._connection.close(code, reason[:MAX_REASON_CHARS])

    def abort(self) -> None:
        self._connection.transport.abort()


class Frames(Protocol):
    """Splits the bytes of a TCP connection into messages."""

    limit_bytes: int
    """Of a message. May be changed at any time."""

    @property
    def mid_frame(self) -> bool:
        """Whether a message has begun and is not complete."""

    def feed(self, received: bytes) -> None: ...

    def next_message(self) -> Message | None:
        """The oldest complete message, or None. Raises FrameInvalidError and MessageTooLargeError."""

    def clear(self) -> None: ...


class TcpTransport:
    """A TCP connection. `frames` splits what arrives into messages, and `frame` frames what is sent, by default as the
    native protocol does."""

    guesses_text = True

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        frames: Frames,
        frame: Callable[[bytes], bytes] = frame,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._limit_bytes = frames.limit_bytes
        self._read_bytes = READ_BYTES
        self._frames = frames
        self._frame = frame
        self.heard_at_s = 0.0
        self.left = False
        self._is_ended_here = False
        """Whether this side has ended the connection. `gone` is not enough: TLS also ends when the other side ends
        it."""

    @property
    def address(self) -> str | None:
        return _host(self._writer.transport)

    @property
    def gone(self) -> bool:
        return self._writer.transport.is_closing()

    @property
    def closed(self) -> bool:
        return self.gone

    def restrict(self, limit_bytes: int) -> None:
        self._frames.limit_bytes = self._read_bytes = limit_bytes

    def trust(self) -> None:
        self._frames.limit_bytes = self._limit_bytes
        self._read_bytes = READ_BYTES

    async def receive(self) -> Message | None:
        while (message := self._frames.next_message()) is None:
            try:
                received = await self._reader.read(self._read_bytes)
            except OSError:
                return None
            if not received:
                if self._frames.mid_frame and not self.gone:
                    raise FrameInvalidError("The stream ended within a frame.")
                self.left = not self._frames.mid_frame and not self._is_ended_here
                return None
            self.heard_at_s = time.monotonic()
            self._frames.feed(received)
        return message

    async def send(self, text: bytes) -> None:
        try:
            self._writer.write(self._frame(text))
            await self._writer.drain()
        except (OSError, RuntimeError):
            raise DisconnectedError from None

    async def close(self, code: int, reason: str) -> None:  # noqa: ARG002 -- TCP has neither
        self._is_ended_here = True
        self._frames.clear()
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                if self._writer.can_write_eof():
                    # Otherwise `drain` does not wait for the last 64 KiB.
                    self._writer.transport.set_write_buffer_limits(0)
                    await self._writer.drain()
                    self._writer.write_eof()
                    await self._discard_input()
                else:
                    await self._writer.drain()
                    await self._close_tls(is_failure=bool(reason))
        self.abort()

    async def _close_tls(self, *, is_failure: bool) -> None:
        """TLS ends both directions at once; after a failure, data that the client still sends is read first."""
        if is_failure:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S / 2):
                    await self._discard_input()
        self._writer.close()
        await self._writer.wait_closed()

    async def _discard_input(self) -> None:
        while await self._reader.read(READ_BYTES):
            pass

    def abort(self) -> None:
        self._is_ended_here = True
        self._frames.clear()
        self._writer.transport.abort()


class StarletteTransport:
    """An accepted WebSocket of the web port."""

    guesses_text = False

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._inbox = inbox_of(websocket.scope)
        self.gone = self.left = False

    @property
    def address(self) -> str | None:
        return self._websocket.client.host if self._websocket.client else None

    @property
    def heard_at_s(self) -> float:
        return self._inbox.heard_at_s

    @property
    def closed(self) -> bool:
        return self.gone or self._inbox.is_closed

    def restrict(self, limit_bytes: int) -> None:
        self._inbox.restrict(limit_bytes)

    def trust(self) -> None:
        self._inbox.trust()

    async def receive(self) -> Message | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            # uvicorn reports 1005 also for a lost connection, but gives a reason only with a close frame.
            self.left = not self.gone and "reason" in message and message["code"] in ORDERLY
            self.gone = True
            return None
        content: Message | VoxtralError = next(message[kind] for kind in ("text", "bytes", "error") if kind in message)
        if isinstance(content, VoxtralError):
            raise content
        return content

    async def send(self, text: bytes) -> None:
        try:
            await self._websocket.send({"type": "websocket.send", "text": text.decode()})
        except (WebSocketDisconnect, RuntimeError, OSError):  # RuntimeError: sent after a close
            self.gone = True
            raise DisconnectedError from None

    async def close(self, code: int, reason: str) -> None:
        if not self.gone:
            self.gone = True
            with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
                await self._websocket.close(code, reason[:MAX_REASON_CHARS])

    def abort(self) -> None:
        """ASGI has no abort; leaving the handler ends the connection."""
        self.gone = True


def _host(transport: asyncio.BaseTransport) -> str | None:
    peer = transport.get_extra_info("peername")
    return peer[0] if peer else None
