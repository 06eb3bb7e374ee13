"""The JSON objects that clients send, as messages and as bodies of requests. Pure."""

from typing import Any, Final

import orjson

from frontend.protocols.long_text import LongMessage
from shared.errors import InvalidJsonError, shown

MAX_VALUES: Final = 16_384
"""Commas and brackets in one object. All known objects are flat, and their largest part, base64, contains none of
these; a list of millions of values would need many times its size in memory."""


def decode_message(message: str | LongMessage) -> dict[str, Any]:
    """A text message, in which strings may be `LongText`. Raises InvalidJsonError."""
    if isinstance(message, str):
        return _object(_parsed(message, "message"), "message")
    return _object(message.restored(_parsed(message.document(), "message")), "message")


def decode_body(body: bytes) -> dict[str, Any]:
    """The whole body of a request. Raises InvalidJsonError."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidJsonError("The body is not UTF-8.") from None
    return _object(_parsed(text, "body"), "body")


def _parsed(text: str, what: str) -> Any:
    if sum(map(text.count, ",[{")) > MAX_VALUES:
        raise InvalidJsonError(f"The {what} contains more than {MAX_VALUES} values; a {what} is one flat object.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJsonError(f"The {what} is not JSON: {error.msg} at character {error.pos}.") from None


def _object(decoded: Any, what: str) -> dict[str, Any]:
    if not isinstance(decoded, dict):
        raise InvalidJsonError(f"The {what} is {shown(decoded)}; it must be a JSON object.")
    return decoded
