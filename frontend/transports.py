"""The three ways in which messages of the native protocol travel, behind one small interface.

A text message is `str`, a binary one is `bytes`. Nothing here knows what a message means.
"""

import asyncio
import contextlib
import time
from typing import Final, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from frontend.protocols.framing import FrameReader, frame
from shared.errors import FrameInvalidError, MessageTooLargeError

READ_BYTES: Final = 64 * 1024
LINGER_S: Final = 1.0
"""After an error that closes a TCP connection, what the client still sends is read and dropped for this long: closing
at once would reset the connection, and the client would never see the error."""
CONTROL_FRAME_MAX_BYTES: Final = 131
"""A WebSocket control frame of a client: 2 bytes of header, 4 of mask, 125 of payload (RFC 6455, section 5.5)."""
ORDERLY: Final = frozenset({CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD})
"""With these, clients leave for good: 1000 and no code at all by `close()`, 1001 when a page is left."""
MAX_REASON_CHARS: Final = 40
"""A close frame holds 123 bytes of UTF-8 at most."""


class DisconnectedError(Exception):
    """The client can no longer be told anything."""


class Transport(Protocol):
    guesses_text: bool
    """Whether `str` may be audio that looks like text; see `framing`."""

    @property
    def heard_at_s(self) -> float:
        """Monotonic time when something of a message came, complete or not."""

    @property
    def gone(self) -> bool:
        """Whether nothing can be sent any more. A TCP client may stop sending and still listen."""

    @property
    def left(self) -> bool:
        """Whether the client itself has ended its side in good order, behind a whole message."""

    async def receive(self) -> str | bytes | None:
        """The next message; None when no more come.

        Raises FrameInvalidError and MessageTooLargeError, after which only `close` is of use. Cancelling it loses
        nothing.
        """

    async def send(self, text: bytes) -> None:
        """Send a text message in UTF-8; waits while the client's buffers are full. Raises DisconnectedError."""

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye and end the connection. What was sent before still arrives."""

    def abort(self) -> None:
        """End the connection at once."""


class HeardConnection(ServerConnection):
    """Notes when something of a message came: a large one may take longer than the idle timeout allows."""

    heard_at_s = 0.0

    def data_received(self, data: bytes) -> None:
        if len(data) > CONTROL_FRAME_MAX_BYTES:  # a pong alone is no sign of life of the client's program
            self.heard_at_s = time.monotonic()
        super().data_received(data)


class WebSocketTransport:
    """A connection of the `websockets` library."""

    guesses_text = False

    def __init__(self, connection: HeardConnection, limit_bytes: int) -> None:
        self._connection = connection
        self._limit_bytes = limit_bytes
        self.gone = self.left = False

    @property
    def heard_at_s(self) -> float:
        return self._connection.heard_at_s

    async def receive(self) -> str | bytes | None:
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            self.gone = True
            self.left = closed.rcvd is not None and bool(closed.rcvd_then_sent) and closed.rcvd.code in ORDERLY
            self._explain(closed)
            return None

    def _explain(self, closed: ConnectionClosed) -> None:
        """The library has closed the connection by itself where the client broke the framing."""
        if closed.rcvd is not None or closed.sent is None:
            return
        if closed.sent.code == CloseCode.MESSAGE_TOO_BIG:
            raise MessageTooLargeError(None, self._limit_bytes) from None
        if closed.sent.code in (CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA):
            raise FrameInvalidError(f"The WebSocket framing is broken: {closed.sent.reason or 'no detail'}.") from None

    async def send(self, text: bytes) -> None:
        try:
            await self._connection.send(text, text=True)
        except ConnectionClosed:
            raise DisconnectedError from None

    async def close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason[:MAX_REASON_CHARS])

    def abort(self) -> None:
        self._connection.transport.abort()


class TcpTransport:
    """A TCP connection with length-prefixed frames."""

    guesses_text = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit_bytes: int) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader(limit_bytes)
        self._broken: FrameInvalidError | MessageTooLargeError | None = None
        self.heard_at_s = 0.0
        self.left = False

    @property
    def gone(self) -> bool:
        return self._writer.transport.is_closing()

    async def receive(self) -> str | bytes | None:
        while (message := self._frames.next_message()) is None:
            if self._broken is not None:
                raise self._broken
            try:
                received = await self._reader.read(READ_BYTES)
            except OSError:
                return None
            if not received:
                if self._frames.mid_frame and not self.gone:
                    raise FrameInvalidError("The stream ended within a frame.")
                self.left = not self._frames.mid_frame and not self.gone
                return None
            self.heard_at_s = time.monotonic()
            try:
                self._frames.feed(received)
            except (FrameInvalidError, MessageTooLargeError) as error:
                self._broken = error  # behind the frames that were whole
        return message

    async def send(self, text: bytes) -> None:
        try:
            self._writer.write(frame(text))
            await self._writer.drain()
        except (OSError, RuntimeError):
            raise DisconnectedError from None

    async def close(self, code: int, reason: str) -> None:  # noqa: ARG002 -- TCP has neither
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._writer.drain()
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                    await self._hear_out()
                else:
                    await self._close_tls(is_failure=bool(reason))
        self.abort()

    async def _close_tls(self, *, is_failure: bool) -> None:
        """TLS ends both directions at once; what a client still sends after a failure is read before that."""
        if is_failure:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S / 2):
                    await self._hear_out()
        self._writer.close()
        await self._writer.wait_closed()

    async def _hear_out(self) -> None:
        while await self._reader.read(READ_BYTES):
            pass

    def abort(self) -> None:
        self._writer.transport.abort()


class StarletteTransport:
    """An accepted WebSocket of the web port."""

    guesses_text = False

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.heard_at_s = 0.0
        self.gone = self.left = False

    async def receive(self) -> str | bytes | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self.left = not self.gone and message.get("code") in ORDERLY
            self.gone = True
            return None
        self.heard_at_s = time.monotonic()
        text = message.get("text")
        content: str | bytes = message["bytes"] if text is None else text
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
        """ASGI knows no such thing; leaving the handler ends the connection."""
        self.gone = True
