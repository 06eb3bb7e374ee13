"""Frames of the native protocol on TCP: a 4-byte big-endian length, and that many bytes.

Does no I/O: bytes in, messages out. A text message is `str`, a binary one is `bytes`; knows nothing of their
meaning.
"""

import re
import struct
from collections import deque
from typing import Final

from shared.errors import FrameInvalidError, MessageTooLargeError

HEADER: Final = struct.Struct("!I")
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""What JSON text never holds, and what nearly every stretch of audio does."""


class FrameReader:
    """Cuts a byte stream into messages, however the bytes come. Holds at most one incomplete frame.

    After an error the stream has lost its framing: nothing more is to be fed.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pending = bytearray()
        self._messages: deque[str | bytes] = deque()

    def feed(self, received: bytes) -> None:
        """Take in bytes; the frames that they complete wait for `next_message`.

        Raises FrameInvalidError for a length of 0, and MessageTooLargeError as soon as a header announces more than
        the limit. Frames before it can still be taken.
        """
        pending = self._pending
        pending += received
        start = 0
        try:
            while len(pending) - start >= HEADER.size:
                (length,) = HEADER.unpack_from(pending, start)
                self._check(length)
                end = start + HEADER.size + length
                if len(pending) < end:
                    break
                self._messages.append(_message(pending, start + HEADER.size, end))
                start = end
        finally:
            del pending[:start]

    def next_message(self) -> str | bytes | None:
        """The oldest complete message, or None when more bytes are needed."""
        return self._messages.popleft() if self._messages else None

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._pending)

    def _check(self, length_bytes: int) -> None:
        if length_bytes == 0:
            raise FrameInvalidError("A frame of length 0 came; a frame holds at least 1 byte.")
        if length_bytes > self._limit_bytes:
            raise MessageTooLargeError(length_bytes, self._limit_bytes)


def frame(message: bytes) -> bytes:
    """A message with its header before it."""
    return HEADER.pack(len(message)) + message


def _message(source: bytearray, start: int, end: int) -> str | bytes:
    """Text where it begins with `{` and can be text at all, else binary.

    One in 256 pieces of audio begins with the byte of `{`, too. They are told apart by what follows: audio is not
    UTF-8 without control characters, unless it is very short (see `native.looks_like_json` for that).
    """
    with memoryview(source) as view:
        content = bytes(view[start:end])
    if content[0] != ord("{"):
        return content
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    return content if _CONTROL_CHARACTER.search(text) else text
