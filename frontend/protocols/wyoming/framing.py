"""Wyoming's events on TCP: a line of JSON, then JSON data and a payload of the lengths that the line names.

    {"type": "audio-chunk", "data_length": 53, "payload_length": 2048}\\n{"rate": 16000, …}<2048 bytes>

Does no I/O: bytes in, events out. Does not interpret events. The data may also be in the line itself, as older clients
send it.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from frontend.protocols.json_objects import decode_message, parsed
from frontend.protocols.kinds import whole_number
from shared.errors import FrameInvalidError, InvalidFieldError, InvalidJsonError, MessageTooLargeError, shown

MAX_LINE_BYTES: Final = 64 * 1024
MAX_DATA_BYTES: Final = 64 * 1024
MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""Clients send a fraction of a second at a time."""
LIMITS: Final = {"data_length": MAX_DATA_BYTES, "payload_length": MAX_PAYLOAD_BYTES}
NEWLINE: Final = b"\n"


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    data: dict[str, Any]
    payload: bytes


class EventReader:
    """Splits a byte stream into events, in whatever pieces it arrives. `parse_event` parses them."""

    limit_bytes: int = MAX_LINE_BYTES + MAX_DATA_BYTES + MAX_PAYLOAD_BYTES
    """Of a whole event."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._searched_bytes = 0
        """How much of the current line is known to contain no line end."""
        self._event_bytes: int | None = None
        """The length of the current event, when its line is complete."""

    def feed(self, received: bytes) -> None:
        """Add bytes; `next_message` parses them."""
        self._pending += received

    def next_message(self) -> bytes | None:
        """The oldest complete event, or None if more bytes are needed.

        Raises FrameInvalidError and MessageTooLargeError. Then the framing of the stream is lost.
        """
        if self._event_bytes is None:
            self._event_bytes = self._length()
        if self._event_bytes is None or len(self._pending) < self._event_bytes:
            return None
        with memoryview(self._pending) as view:
            event = bytes(view[: self._event_bytes])
        del self._pending[: self._event_bytes]
        self._event_bytes = None
        return event

    def clear(self) -> None:
        """Drop all data. `feed` must not be called again."""
        self._pending.clear()
        self._event_bytes = None

    @property
    def mid_frame(self) -> bool:
        """Whether an event has begun and is not complete."""
        return bool(self._pending)

    def _length(self) -> int | None:
        """The length of the event whose line comes next; None if its line is not complete."""
        end = self._pending.find(NEWLINE, self._searched_bytes)
        length = len(self._pending) if end < 0 else end
        if length > MAX_LINE_BYTES:
            raise FrameInvalidError(f"An event does not begin with a line of at most {MAX_LINE_BYTES} bytes of JSON.")
        if end < 0:
            self._searched_bytes = length
            return None
        self._searched_bytes = 0
        line = _line(bytes(self._pending[:end]))
        return end + 1 + sum(_announced(line, name) for name in LIMITS)


def parse_event(message: bytes) -> Event:
    """An event that an `EventReader` has read. Raises InvalidJsonError and InvalidFieldError."""
    end = message.index(NEWLINE)
    line = decode_message(message[:end].decode())
    data = line.get("data") or {}
    data_end = end + 1 + _announced(line, "data_length")
    if data_end > end + 1:
        try:
            more = decode_message(message[end + 1 : data_end].decode())
        except UnicodeDecodeError:
            raise InvalidJsonError("The data of the event is not UTF-8.") from None
    else:
        more = {}
    if not isinstance(data, dict):
        raise InvalidFieldError("data", data, "an object")
    return Event(line["type"], data | more, message[data_end:])


def event_bytes(kind: str, data: dict[str, Any] | None = None) -> bytes:
    """An event as it is sent. Data is not in the line: clients limit the length of a line."""
    content = orjson.dumps(data) if data else b""
    line = {"type": kind} | ({"data_length": len(content)} if content else {})
    return orjson.dumps(line) + NEWLINE + content


def unframed(event: bytes) -> bytes:
    """What a transport adds to an event that `event_bytes` has made: nothing."""
    return event


def _line(text: bytes) -> dict[str, Any]:
    try:
        line = parsed(text.decode(), "line of an event")
    except UnicodeDecodeError:
        raise FrameInvalidError("The line of an event is not UTF-8.") from None
    except InvalidJsonError as error:
        raise FrameInvalidError(error.message) from None
    if not isinstance(line, dict) or not isinstance(line.get("type"), str):
        raise FrameInvalidError(f"The line of an event is {shown(line)}; it must be a JSON object with a type.")
    return line


def _announced(line: dict[str, Any], name: str) -> int:
    """Raises FrameInvalidError for a value that is no length, and MessageTooLargeError."""
    value = line.get(name)
    if value is None:
        return 0
    length = whole_number(value)
    if length is None or length < 0:
        raise FrameInvalidError(f"{name} is {shown(value)}; it must be a number of bytes.")
    if length > LIMITS[name]:
        raise MessageTooLargeError(length, LIMITS[name])
    return length
