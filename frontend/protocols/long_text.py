"""Long JSON messages, read as they arrive: base64 is decoded at once, and never stored as text.

A recording is one long string in a small JSON document. `TextReader` keeps the document and decodes each long string
while it arrives, so a message needs only the memory of its audio. All other data is dropped at once. Does no I/O.
"""

import binascii
import codecs
import contextlib
import io
import re
import secrets
from typing import Any, Final, TypeAlias

from shared.errors import InvalidJsonError

SHORT_MESSAGE_BYTES: Final = 64 * 1024
"""Messages up to this size are kept unchanged."""
LONG_STRING_BYTES: Final = 128 * 1024
"""Longer strings of a long message are treated as base64. No other string that a client may send is as long."""
MAX_DOCUMENT_BYTES: Final = 2304 * 1024
"""The limit of a long message without its long strings: the audio of 16 known speakers may be slightly shorter."""
DATA_URL: Final = b"data:"
MAX_URL_HEAD_BYTES: Final = 1024
MAX_DEPTH: Final = 16
"""More than the nesting of any message that a client may send."""
SHOWN_CHARS: Final = 40
_WRITTEN: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""What is inside a string, up to its quote or the end of a piece, also if that is a backslash."""


class LongText:
    """A long string of a message. Its text is not kept; `audio` is its decoded base64."""

    def __init__(self, head: str, size_bytes: int, audio: bytes | None, url_head: str) -> None:
        self.size_bytes = size_bytes
        self.audio = audio
        """None if the string is not base64."""
        self.url_head = url_head
        """The part of a data URL before its base64, without the comma; otherwise empty."""
        self._head = head

    def __repr__(self) -> str:
        return f"'{self._head}…' ({self.size_bytes} bytes)"


class LongMessage:
    """A long text message. Parsing raises InvalidJsonError if it is not JSON or too long apart from its strings."""

    def __init__(self, document: bytes | None, strings: dict[str, LongText], size_bytes: int) -> None:
        """`strings` are those that the document has marks for. `document` is None if it was too large."""
        self._document = document
        self._strings = strings
        self._size_bytes = size_bytes

    def __len__(self) -> int:
        return self._size_bytes

    def document(self, what: str = "message") -> str:
        """The JSON text, with a mark for each long string. Errors call the message `what`."""
        if self._document is None:
            raise InvalidJsonError(f"The {what} contains more than {MAX_DOCUMENT_BYTES} bytes besides its audio.")
        try:
            return self._document.decode()
        except UnicodeDecodeError:
            raise InvalidJsonError(f"The {what} is not UTF-8.") from None

    def restored(self, value: Any, depth: int = 0) -> Any:
        """The parsed document, with a `LongText` for each mark. Raises InvalidJsonError if a name was too long."""
        match value:
            case str():
                return self._strings.get(value, value)
            case dict() if not self._strings.keys().isdisjoint(value):
                raise InvalidJsonError(f"The name of a field has more than {LONG_STRING_BYTES} bytes.")
            case dict() if depth < MAX_DEPTH:
                return {name: self.restored(one, depth + 1) for name, one in value.items()}
            case list() if depth < MAX_DEPTH:
                return [self.restored(one, depth + 1) for one in value]
        return value


Message: TypeAlias = str | bytes | LongMessage
"""A message of any protocol: text, text that was too long to keep, or binary."""


class TextReader:
    """Reads one text message in pieces. `finish` returns the message."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._start = bytearray()
        """The whole message as long as it is short."""
        self._scanner: _Scanner | None = None

    def feed(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        if self._scanner is None:
            self._start += piece
            if len(self._start) <= SHORT_MESSAGE_BYTES:
                return
            self._scanner, piece = _Scanner(), bytes(self._start)
            self._start.clear()
        self._scanner.feed(piece)

    def finish(self) -> str | LongMessage:
        """Raises UnicodeDecodeError for a short message that is not UTF-8."""
        if self._scanner is None:
            return self._start.decode()
        return LongMessage(*self._scanner.finish(), self.size_bytes)


class _Scanner:
    """Finds the strings of a JSON text."""

    def __init__(self) -> None:
        self._document: bytearray | None = bytearray()
        self._strings: dict[str, LongText] = {}
        """The long strings, by the marks that replace them. Clients cannot guess a mark."""
        self._is_inside = False
        self._is_escaped = False
        """Whether the last byte was a backslash inside a string."""
        self._string = bytearray()
        """The open string, as it is written, as long as it is short."""
        self._long: _LongString | None = None

    def feed(self, piece: bytes) -> None:
        at = 0
        while at < len(piece):
            at = self._take_string(piece, at) if self._is_inside else self._take_document(piece, at)

    def finish(self) -> tuple[bytes | None, dict[str, LongText]]:
        if self._is_inside:
            self._close_string(b"")  # without its closing quote: not JSON
        return None if self._document is None else bytes(self._document), self._strings

    def _take_document(self, piece: bytes, at: int) -> int:
        quote = piece.find(b'"', at)
        end = len(piece) if quote < 0 else quote + 1
        self._keep(piece[at:end])
        self._is_inside = quote >= 0
        return end

    def _take_string(self, piece: bytes, at: int) -> int:
        if self._is_escaped:
            self._is_escaped = False
            self._add(piece[at : at + 1])
            return at + 1
        quote = piece.find(b'"', at)
        end = len(piece) if quote < 0 else quote
        if piece.find(b"\\", at, end) >= 0:
            end = _end_of_string(piece, at)
            self._is_escaped = piece.startswith(b"\\", end)
        if self._is_escaped or end == len(piece):
            self._add(piece[at:])
            return len(piece)
        self._add(piece[at:end])
        self._close_string(b'"')
        return end + 1

    def _add(self, content: bytes) -> None:
        if self._long is not None:
            self._long.feed(content)
            return
        self._string += content
        if len(self._string) > LONG_STRING_BYTES and not self._is_escaped:
            self._long = _LongString(bytes(self._string))
            self._string.clear()

    def _close_string(self, quote: bytes) -> None:
        self._is_inside = False
        if self._long is None:
            self._keep(bytes(self._string) + quote)
            self._string.clear()
        else:
            mark = secrets.token_hex(16)
            self._keep(mark.encode() + quote)
            self._strings[mark] = self._long.finish()
            self._long = None

    def _keep(self, content: bytes) -> None:
        if self._document is not None:
            self._document += content
            if len(self._document) > MAX_DOCUMENT_BYTES:
                self._document = None


def _end_of_string(piece: bytes, at: int) -> int:
    """Where the string ends that contains this place; the last byte if that is a backslash.

    Slower than a search for one byte, so only for strings with escapes, of which each would need a search of its own.
    """
    written = _WRITTEN.match(piece, at)
    assert written is not None, "it matches nothing, too"
    return written.end()


class _LongString:
    """A long string, from its first `LONG_STRING_BYTES` on."""

    def __init__(self, start: bytes) -> None:
        self._head = start[:SHOWN_CHARS].decode(errors="replace")
        self._size_bytes = 0
        self._url_head = b""
        self._decoder: Base64Reader | None = Base64Reader()
        self._is_escaped = False
        if start[: len(DATA_URL)].lower() == DATA_URL and b"," in start[:MAX_URL_HEAD_BYTES]:
            self._url_head, _, start = start.partition(b",")
        self.feed(start)

    def feed(self, written: bytes) -> None:
        """The next part of the string, as it is written in JSON."""
        self._size_bytes += len(written)
        if self._decoder is None:
            return
        if self._is_escaped or b"\\" in written:
            written = self._unescaped(written)
        try:
            self._decoder.feed(written)
        except ValueError:
            self._decoder = None

    def finish(self) -> LongText:
        audio = None
        if self._decoder is not None:
            with contextlib.suppress(ValueError):
                audio = self._decoder.finish()
        size_bytes = self._size_bytes + len(self._url_head)
        return LongText(self._head, size_bytes, audio, self._url_head.decode(errors="replace"))

    def _unescaped(self, written: bytes) -> bytes:
        """Only a slash and line breaks need escapes in base64; any other escape stays, and is not base64."""
        if self._is_escaped:
            written = b"\\" + written
        self._is_escaped = written.endswith(b"\\") and not written.endswith(b"\\\\")
        if self._is_escaped:
            written = written[:-1]
        return written.replace(b"\\/", b"/").replace(b"\\r", b"").replace(b"\\n", b"")


class Base64Reader:
    """Standard base64 in pieces; line breaks are allowed, because tools insert them. Its methods raise ValueError."""

    def __init__(self) -> None:
        self._decoded = io.BytesIO()
        self._rest = b""
        """The beginning of a group of four."""
        self._is_over = False
        """Whether the padding has been read."""

    def feed(self, text: bytes) -> None:
        if b"\n" in text or b"\r" in text:
            text = text.replace(b"\r", b"").replace(b"\n", b"")
        text = self._rest + text
        if not text:
            return
        if self._is_over:
            raise ValueError("data follows the padding")
        whole = len(text) // 4 * 4
        self._rest = text[whole:]
        self._decoded.write(binascii.a2b_base64(text[:whole], strict_mode=True))
        self._is_over = text[:whole].endswith(b"=")

    def finish(self) -> bytes:
        """All decoded bytes, without a copy."""
        if self._rest:
            raise ValueError("not a whole number of groups")
        return self._decoded.getvalue()


def is_utf8_start(content: bytes) -> bool:
    """Whether this can be the beginning of UTF-8 text, even if its last character is incomplete."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return False
    return True
