"""The fields of one JSON message, each checked as it is taken.

Every method raises `MissingFieldError` or `InvalidFieldError` that names the field and says what is allowed. A field
that is null counts as absent. Fields that nobody asks for are passed over, so that newer clients can send some.
"""

import binascii
import re
from typing import Any, Final, TypeGuard

from frontend.access.tokens import MAX_KEY_CHARS
from frontend.protocols.long_text import LongText
from frontend.protocols.spoken_languages import spoken_language, spoken_languages
from shared.errors import InvalidAudioError, InvalidFieldError, MissingFieldError, shown
from shared.events import DELAYS_MS, CommitDelay, Mode

MAX_ID_CHARS: Final = 128
MAX_PROMPT_CHARS: Final = 8_000
MAX_MODEL_CHARS: Final = 128
MAX_NEW_TOKENS: Final = 4096
MAX_TEMPERATURE: Final = 2
MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON implementation keeps exactly."""

BASE64: Final = "base64 (A-Z a-z 0-9 + /, padded with =)"

_DATA_URL: Final = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Fields:
    def __init__(self, message: dict[str, Any]) -> None:
        self._message = message

    def given(self, name: str) -> bool:
        """Whether the client sent the field at all; null counts here."""
        return name in self._message

    def refuse(self, name: str, allowed: str) -> None:
        """Raises InvalidFieldError where the client sent a field that has no place in this message."""
        if self.given(name):
            raise InvalidFieldError(name, self._message[name], allowed)

    def request_id(self) -> str | int | None:
        value = self._message.get("id")
        if value is None or is_request_id(value):
            return value if isinstance(value, str) else whole_number(value)
        raise InvalidFieldError("id", value, f"a string of at most {MAX_ID_CHARS} characters, or an integer")

    def mode(self) -> Mode:
        value = self._message.get("mode")
        if value is None:
            return Mode.TRANSCRIBE
        try:
            return Mode(value)
        except ValueError:
            raise InvalidFieldError("mode", value, ", ".join(Mode)) from None

    def language(self) -> str | None:
        return spoken_language(self._message.get("language"))

    def languages(self) -> tuple[str, ...] | None:
        """Those of which each segment has one."""
        value = self._message.get("languages")
        return None if value is None else spoken_languages(value)

    def commit_delay(self) -> CommitDelay | None:
        value = self._message.get("commit_delay")
        try:
            return None if value is None else CommitDelay(value)
        except ValueError:
            raise InvalidFieldError("commit_delay", value, ", ".join(CommitDelay)) from None

    def prompt(self) -> str | None:
        value = self._message.get("prompt")
        if value is None or (isinstance(value, str) and len(value) <= MAX_PROMPT_CHARS):
            return value or None
        raise InvalidFieldError("prompt", value, f"a string of at most {MAX_PROMPT_CHARS} characters")

    def delay_ms(self) -> int | None:
        value = self._message.get("delay_ms")
        if value is None or (delay_ms := whole_number(value)) in DELAYS_MS:
            return None if value is None else delay_ms
        raise InvalidFieldError("delay_ms", value, "80 to 1200 in steps of 80, or 2400")

    def model(self) -> str | None:
        """A model's name or `auto`. Which ones run is not known here."""
        value = self._message.get("model")
        if value is None or (isinstance(value, str) and 0 < len(value) <= MAX_MODEL_CHARS):
            return value
        raise InvalidFieldError("model", value, f"a string of 1 to {MAX_MODEL_CHARS} characters, such as 'auto'")

    def max_new_tokens(self) -> int | None:
        value = self._message.get("max_new_tokens")
        if value is None or 1 <= (tokens := whole_number(value) or 0) <= MAX_NEW_TOKENS:
            return None if value is None else tokens
        raise InvalidFieldError("max_new_tokens", value, f"an integer from 1 to {MAX_NEW_TOKENS}")

    def temperature(self) -> float | None:
        value = self._message.get("temperature")
        if value is None or (_is_number(value) and 0 <= value <= MAX_TEMPERATURE):
            return value
        raise InvalidFieldError("temperature", value, f"a number from 0 to {MAX_TEMPERATURE}")

    def top_p(self) -> float | None:
        value = self._message.get("top_p")
        if value is None or (_is_number(value) and 0 < value <= 1):
            return value
        raise InvalidFieldError("top_p", value, "a number above 0, and 1 at most")

    def flag(self, name: str, default: bool) -> bool:
        value = self._message.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise InvalidFieldError(name, value, "true, false")

    def integer(self, name: str, default: int) -> int:
        value = self._message.get(name)
        if value is None:
            return default
        integer = whole_number(value)
        if integer is not None and abs(integer) <= MAX_INTEGER:
            return integer
        raise InvalidFieldError(name, value, "an integer")

    def number(self) -> int | None:
        """How a client counts its control messages; None where it does not."""
        value = self._message.get("number")
        if value is None or 1 <= (number := whole_number(value) or 0) <= MAX_INTEGER:
            return None if value is None else number
        raise InvalidFieldError("number", value, "an integer from 1 on")

    def sequence_number(self, name: str) -> int:
        value = self._required(name)
        number = whole_number(value)
        if number is not None and 0 <= number <= MAX_INTEGER:
            return number
        raise InvalidFieldError(name, value, "an integer from 0 on")

    def session_id(self) -> str:
        value = self._required("session_id")
        if isinstance(value, str) and _SESSION_ID.fullmatch(value):
            return value
        raise InvalidFieldError("session_id", value, "the session_id that ready told")

    def token(self, name: str) -> str:
        value = self._required(name)
        if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS:
            return value
        raise InvalidFieldError(name, "…", f"the {name} that ready told")

    def key(self) -> str:
        """An API key or a client token. No error repeats it."""
        value = self._required("key")
        if isinstance(value, str) and 0 < len(value) <= MAX_KEY_CHARS:
            return value
        raise InvalidFieldError("key", "…", f"a string of 1 to {MAX_KEY_CHARS} characters")

    def text(self, name: str) -> str | None:
        value = self._message.get(name)
        if value is None or isinstance(value, str):
            return value
        raise InvalidFieldError(name, value, "a string")

    def audio(self) -> bytes:
        """The bytes of `audio_data`. Raises InvalidAudioError when they are not base64."""
        value = self._required("audio_data")
        if not isinstance(value, str | LongText):
            raise InvalidFieldError("audio_data", value, "a string of base64")
        return decode_audio(value, "audio_data")

    def _required(self, name: str) -> Any:
        value = self._message.get(name)
        if value is None:
            kind = shown(self._message.get("type"))
            raise MissingFieldError(f"The field {name} is missing; a message of type {kind} needs it.")
        return value


def _is_number(value: object) -> TypeGuard[float]:
    """JSON's true and false are none, though Python counts with them. NaN is one, and within no limits."""
    return type(value) in (int, float)


def whole_number(value: object) -> int | None:
    """An integer of JSON, which does not tell 16000 from 16000.0; None for all else."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def is_request_id(value: object) -> bool:
    if (number := whole_number(value)) is not None:
        return abs(number) <= MAX_INTEGER
    return isinstance(value, str) and len(value) <= MAX_ID_CHARS


def decode_audio(text: str | LongText, name: str) -> bytes:
    """The audio of a message: base64, or a `data:` URL of it, as browsers make them (RFC 2397).

    The media type is ignored; the bytes themselves show what they are. Raises InvalidAudioError, which names `name`.
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
    """Standard base64; line breaks are allowed, as tools put them in. Raises InvalidAudioError that tells of `name`."""
    if "\n" in text or "\r" in text:
        text = text.replace("\r", "").replace("\n", "")
    try:
        if len(text) % 4:
            raise ValueError("not a whole number of groups")
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error is one, and so is a character outside ASCII
        raise InvalidAudioError(f"{name} is not {BASE64}.") from None
