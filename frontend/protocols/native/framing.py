"""Frames of the native protocol on TCP: a 4-byte big-endian length, and that many bytes.

Does no I/O: bytes in, messages out. Does not interpret messages.
"""

import io
import re
import struct
from typing import Final

from frontend.protocols.long_text import SHORT_MESSAGE_BYTES, Message, TextReader, is_utf8_start
from shared.errors import FrameInvalidError, MessageTooLargeError

HEADER: Final = struct.Struct("!I")
_CONTROL_BYTE: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Bytes that JSON text never contains, and that nearly all audio does."""
_JSON_START: Final = re.compile(rb'\{[ \t\r\n]*["}]')


class FrameReader:
    """Splits a byte stream into messages, in whatever pieces it arrives. Text of an incomplete frame is read at
    once."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        """May be changed at any time. Applies to frames whose message has not been requested yet."""
        self._pending = bytearray()
        self._content: _Content | None = None
        """The content of the current frame."""
        self._left_bytes = 0

    def feed(self, received: bytes) -> None:
        """Add bytes; `next_message` parses them."""
        self._pending += received

    def next_message(self) -> Message | None:
        """The oldest complete message, or None if more bytes are needed.

        Raises FrameInvalidError for a length of 0, and MessageTooLargeError as soon as a header announces more than
        the limit. Then the framing of the stream is lost.
        """
        if self._content is None:
            if len(self._pending) < HEADER.size:
                return None
            (self._left_bytes,) = HEADER.unpack_from(self._pending)
            self._check(self._left_bytes)
            self._content = _Content()
            del self._pending[: HEADER.size]
        with memoryview(self._pending) as view:
            piece = bytes(view[: self._left_bytes])
        del self._pending[: len(piece)]
        self._content.feed(piece)
        self._left_bytes -= len(piece)
        if self._left_bytes:
            return None
        content, self._content = self._content, None
        return content.finish()

    def clear(self) -> None:
        """Drop all data. `feed` must not be called again."""
        self._pending.clear()
        self._content = None

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._pending) or self._content is not None

    def _check(self, length_bytes: int) -> None:
        if length_bytes == 0:
            raise FrameInvalidError("A frame has the length 0; a frame must contain at least 1 byte.")
        if length_bytes > self.limit_bytes:
            raise MessageTooLargeError(length_bytes, self.limit_bytes)


def frame(message: bytes) -> bytes:
    """A message with its header."""
    return HEADER.pack(len(message)) + message


class _Content:
    """The content of one frame: text if it begins with `{` and can be text, otherwise binary.

    One in 256 pieces of audio begins with the byte of `{` too. The bytes after it decide: audio is not
    UTF-8 without control characters, unless it is very short (see `states.looks_like_json` for that).
    """

    def __init__(self) -> None:
        self._start = bytearray()
        """The whole content as long as it is short."""
        self._text: TextReader | None = None
        self._binary: io.BytesIO | None = None

    def feed(self, piece: bytes) -> None:
        if self._text is not None:
            self._text.feed(piece)
        elif self._binary is not None:
            self._binary.write(piece)
        else:
            self._start += piece
            if len(self._start) > SHORT_MESSAGE_BYTES:
                self._decide(bytes(self._start))
                self._start.clear()

    def finish(self) -> Message:
        if self._text is not None:
            return self._text.finish()
        if self._binary is not None:
            return self._binary.getvalue()
        return _short_message(bytes(self._start))

    def _decide(self, start: bytes) -> None:
        if _JSON_START.match(start) and not _CONTROL_BYTE.search(start) and is_utf8_start(start):
            self._text = TextReader()
            self._text.feed(start)
        else:
            self._binary = io.BytesIO()
            self._binary.write(start)


def _short_message(content: bytes) -> str | bytes:
    if content[0] != ord("{") or _CONTROL_BYTE.search(content):
        return content
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
