"""The JSON that clients send, as messages, as bodies of requests and in fields of forms. Pure."""

from typing import Any, Final

import orjson

from frontend.protocols.long_text import LongMessage
from shared.errors import InvalidJsonError, shown

MAX_VALUES: Final = 16_384
"""Commas and brackets in one object. All known objects are flat, and their largest part, base64, contains none of
these; a list of millions of values would need many times its size in memory."""
MAX_DEPTH: Final = 64
"""More than the nesting of any object that a client may send. orjson accepts 1024 levels, which Python cannot show."""


def decode_message(message: str | LongMessage, what: str = "message") -> dict[str, Any]:
    """A text message, in which strings may be `LongText`. Raises InvalidJsonError, whose message says `what` it is."""
    if isinstance(message, str):
        return _object(parsed(message, what), what)
    return _object(message.restored(parsed(message.document(what), what)), what)


def decode_body(body: bytes) -> dict[str, Any]:
    """The whole body of a request. Raises InvalidJsonError."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidJsonError("The body is not UTF-8.") from None
    return decode_message(text, "body")


def parsed(text: str, what: str = "text") -> Any:
    """Any JSON value. Raises InvalidJsonError, whose message calls the text `what`."""
    if sum(map(text.count, ",[{")) > MAX_VALUES:
        raise InvalidJsonError(f"The {what} contains more than {MAX_VALUES} values; a {what} is one flat object.")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJsonError(f"The {what} is not JSON: {error.msg} at character {error.pos}.") from None
    if _is_deeper(value, MAX_DEPTH):
        raise InvalidJsonError(f"The {what} is nested more than {MAX_DEPTH} levels deep.")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    entries = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in entries)


def _object(decoded: Any, what: str) -> dict[str, Any]:
    if not isinstance(decoded, dict):
        raise InvalidJsonError(f"The {what} is {shown(decoded)}; it must be a JSON object.")
    return decoded
