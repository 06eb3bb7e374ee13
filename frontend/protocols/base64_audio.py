"""Audio in JSON messages and forms: base64, or a `data:` URL with base64. Pure."""

import binascii
import re
from typing import Final

from frontend.protocols.long_text import LongText
from shared.errors import InvalidAudioError

BASE64: Final = "base64 (A-Z a-z 0-9 + /, padded with =)"

_DATA_URL: Final = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)


def decode_audio(text: str | LongText, name: str) -> bytes:
    """The audio of a message: base64, or a `data:` URL with base64, as browsers make them (RFC 2397).

    The media type is ignored; the format is detected from the bytes. Raises InvalidAudioError, which names `name`.
    """
    if isinstance(text, LongText):
        return _decoded_audio(text, name)
    head = _DATA_URL.match(text)
    return decode_base64(text if head is None else text[head.end() :], name)


def _decoded_audio(text: LongText, name: str) -> bytes:
    if text.audio is None or (text.url_head and _DATA_URL.match(f"{text.url_head},") is None):
        raise InvalidAudioError(f"{name} is not {BASE64}.")
    return text.audio


def decode_base64(text: str, name: str) -> bytes:
    """Standard base64; line breaks are allowed, because tools insert them. Raises InvalidAudioError, which names
    `name`."""
    if "\n" in text or "\r" in text:
        text = text.replace("\r", "").replace("\n", "")
    try:
        if len(text) % 4:
            raise ValueError("not a whole number of groups")
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error is one, and so is a character outside ASCII
        raise InvalidAudioError(f"{name} is not {BASE64}.") from None
