"""Data frames of a WebSocket client (RFC 6455), read as they arrive. Control frames are left to a library.

The libraries hold a message three times before they return it: as received, unmasked, and decoded. Here each piece
is unmasked and decoded as it arrives. Does no I/O: bytes in, messages and control frames out.
"""

import io
from dataclasses import dataclass
from typing import Final

from websockets.frames import Opcode

from frontend.protocols.long_text import Message, TextReader
from shared.errors import FrameInvalidError, MessageTooLargeError

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the library's C extension
    from websockets.utils import apply_mask

CONTROL: Final = (Opcode.CLOSE, Opcode.PING, Opcode.PONG)
DATA: Final = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY)
MAX_CONTROL_BYTES: Final = 125
MASK_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class ControlFrame:
    """The raw frame."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class _Header:
    size_bytes: int
    """Size of the header itself, with the mask."""
    opcode: int
    is_final: bool
    content_bytes: int
    mask: bytes


class WebSocketReader:
    """The frames of one connection. `feed` must not be called after an error: the framing is lost."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        """Limit of a message. May be changed at any time, and applies to frames that have not been requested."""
        self._pending = bytearray()
        self._header: _Header | None = None
        """The header of the current data frame."""
        self._read_bytes = 0
        """Bytes read of its content."""
        self._message: TextReader | io.BytesIO | None = None
        """The current message."""
        self._message_bytes = 0
        self._drops = False

    def feed(self, received: bytes) -> None:
        self._pending += received

    def drop_messages(self) -> None:
        """From now on skip messages; control frames are still returned."""
        self._drops = True
        if self._message is not None:
            self._message = io.BytesIO()

    def clear(self) -> None:
        """Drop all data. `feed` must not be called again."""
        self._pending.clear()
        self._header = self._message = None

    def next(self) -> Message | ControlFrame | None:
        """The next message or control frame, None if more bytes are needed.

        Raises FrameInvalidError, and MessageTooLargeError as soon as a header announces more than the limit.
        """
        while True:
            if self._header is None:
                header = self._next_header()
                if header is None:
                    return None
                if header.opcode in CONTROL:
                    return self._control_frame(header)
                self._begin(header)
            if not self._take_content():
                return None
            message = self._end()
            if message is not None and not self._drops:
                return message

    def _next_header(self) -> _Header | None:
        """The next header, which stays in the buffer. Raises FrameInvalidError."""
        pending = self._pending
        if len(pending) < 2:
            return None
        if pending[0] & 0b01110000:
            raise _broken("reserved bits must be 0")
        if not pending[1] & 0b10000000:
            raise _broken("incorrect masking")
        opcode, length = pending[0] & 0b00001111, pending[1] & 0b01111111
        if opcode not in DATA and opcode not in CONTROL:
            raise _broken("invalid opcode")
        extended = {126: 2, 127: 8}.get(length, 0)
        size = 2 + extended + MASK_BYTES
        if len(pending) < size:
            return None
        if extended:
            length = int.from_bytes(pending[2 : 2 + extended], "big")
        return _Header(size, opcode, bool(pending[0] & 0b10000000), length, bytes(pending[size - MASK_BYTES : size]))

    def _control_frame(self, header: _Header) -> ControlFrame | None:
        if header.content_bytes > MAX_CONTROL_BYTES or not header.is_final:
            raise _broken("control frame too long or fragmented")
        if header.opcode == Opcode.CLOSE and self._message is not None and not self._drops:
            raise _broken("incomplete fragmented message")
        end = header.size_bytes + header.content_bytes
        if len(self._pending) < end:
            return None
        raw = bytes(self._pending[:end])
        del self._pending[:end]
        return ControlFrame(raw)

    def _begin(self, header: _Header) -> None:
        if (header.opcode == Opcode.CONT) != (self._message is not None):
            raise _broken("unexpected continuation frame" if self._message is None else "expected a continuation frame")
        size_bytes = self._message_bytes + header.content_bytes
        if size_bytes > self.limit_bytes:
            raise MessageTooLargeError(size_bytes, self.limit_bytes)
        self._message_bytes = size_bytes
        del self._pending[: header.size_bytes]
        self._header, self._read_bytes = header, 0
        if self._message is None:
            self._message = TextReader() if header.opcode == Opcode.TEXT and not self._drops else io.BytesIO()

    def _take_content(self) -> bool:
        """Read the received part of the frame; returns whether that is all of it."""
        header, message = self._header, self._message
        assert header is not None
        assert message is not None
        with memoryview(self._pending) as view:
            masked = bytes(view[: header.content_bytes - self._read_bytes])
        del self._pending[: len(masked)]
        turn = self._read_bytes % MASK_BYTES
        self._read_bytes += len(masked)
        if not self._drops:
            piece = apply_mask(masked, header.mask[turn:] + header.mask[:turn])
            if isinstance(message, TextReader):
                message.feed(piece)
            else:
                message.write(piece)
        return self._read_bytes == header.content_bytes

    def _end(self) -> Message | None:
        """The message, if the frame was its last."""
        header, message = self._header, self._message
        assert header is not None
        self._header = None
        if not header.is_final:
            return None
        self._message, self._message_bytes = None, 0
        if isinstance(message, TextReader):
            try:
                return message.finish()
            except UnicodeDecodeError as error:
                raise _broken(f"{error.reason} at position {error.start}") from None
        assert message is not None
        return message.getvalue()


def _broken(why: str) -> FrameInvalidError:
    return FrameInvalidError(f"The WebSocket framing is invalid: {why}.")
