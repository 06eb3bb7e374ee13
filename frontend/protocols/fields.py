"""The fields of one JSON message, each checked when it is read.

Every method raises `MissingFieldError` or `InvalidFieldError` that names the field and says what is allowed. A field
that is null counts as absent. Unknown fields are ignored, so that newer clients can send some.
"""

from typing import Any, Final

from frontend.access.session_tokens import is_session_id
from frontend.access.tokens import MAX_KEY_CHARS
from frontend.protocols.base64_audio import decode_audio
from frontend.protocols.kinds import MAX_INTEGER, Flag, whole_number
from frontend.protocols.long_text import LongText
from frontend.protocols.options import OPTIONS, parse_json
from shared.errors import InvalidFieldError, MissingFieldError, shown

MAX_ID_CHARS: Final = 128


class Fields:
    def __init__(self, message: dict[str, Any]) -> None:
        self._message = message

    def given(self, name: str) -> bool:
        """Whether the client sent the field at all, even as null."""
        return name in self._message

    def refuse(self, name: str, allowed: str) -> None:
        """Raises InvalidFieldError, without the value, if the client sent a field that this message may not have."""
        if self.given(name):
            raise InvalidFieldError(name, "…", allowed)

    def request_id(self) -> str | int | None:
        value = self._message.get("id")
        request_id = valid_request_id(value)
        if request_id is None and value is not None:
            raise InvalidFieldError("id", value, f"a string of at most {MAX_ID_CHARS} characters, or an integer")
        return request_id

    def option(self, name: str) -> Any:
        """A session option; None if the client leaves it to the server."""
        return OPTIONS[name].parse(self._message.get(name))

    def flag(self, name: str, default: bool) -> bool:
        value: bool | None = parse_json(name, self._message.get(name), Flag())
        return default if value is None else value

    def integer(self, name: str, default: int) -> int:
        value = self._message.get(name)
        if value is None:
            return default
        integer = whole_number(value)
        if integer is not None and abs(integer) <= MAX_INTEGER:
            return integer
        raise InvalidFieldError(name, value, "an integer")

    def number(self) -> int | None:
        """The number of a control message; None if the client does not number them."""
        value = self._message.get("number")
        if value is None or 1 <= (number := whole_number(value) or 0) <= MAX_INTEGER:
            return None if value is None else number
        raise InvalidFieldError("number", value, "an integer of at least 1")

    def sequence_number(self, name: str) -> int:
        value = self._required(name)
        number = whole_number(value)
        if number is not None and 0 <= number <= MAX_INTEGER:
            return number
        raise InvalidFieldError(name, value, "an integer of at least 0")

    def session_id(self) -> str:
        value = self._required("session_id")
        if isinstance(value, str) and is_session_id(value):
            return value
        raise InvalidFieldError("session_id", value, "the session_id of ready")

    def token(self, name: str) -> str:
        value = self._required(name)
        if isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS:
            return value
        raise InvalidFieldError(name, "…", f"the {name} of ready")

    def key(self) -> str:
        """An API key or a client token. Errors do not repeat it."""
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
        """The bytes of `audio_data`. Raises InvalidAudioError if it is not base64."""
        value = self._required("audio_data")
        if not isinstance(value, str | LongText):
            raise InvalidFieldError("audio_data", value, "a string of base64")
        return decode_audio(value, "audio_data")

    def _required(self, name: str) -> Any:
        value = self._message.get(name)
        if value is None:
            kind = shown(self._message.get("type"))
            raise MissingFieldError(f"The field {name} is missing; a message of type {kind} requires it.")
        return value


def valid_request_id(value: object) -> str | int | None:
    """The id that a client gave to a request; None for a value that is no id."""
    if isinstance(value, str):
        return value if len(value) <= MAX_ID_CHARS else None
    number = whole_number(value)
    return number if number is not None and abs(number) <= MAX_INTEGER else None
