"""Every error of a request, each with the code that clients see.

An error carries the measured value and the limit as fields; `str()` returns the sentence. Any other exception than
a `VoxtralError` is an internal fault and reaches a client only as `internal_error` with an incident id.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

_NAME: Final = re.compile(r"(?<![\w.])[a-z]+(?:_[a-z]+)+")
"""A word in a message that can only be the name of a field."""
_ALLOWED: Final = "; allowed: "


class VoxtralError(Exception):
    """Base of all errors that a client may see."""

    code: str = "internal_error"
    closes_connection: ClassVar[bool] = False
    field: str | None = None
    """The client's field that is wrong, if there is one."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s

    def rename(self, names: Mapping[str, str]) -> None:
        """Use the names of the client's API, for the field and for the option with which the message begins.

        `names` has them by our names.
        """
        if self.field is not None:
            self.field = names.get(self.field, self.field)
        first, space, rest = self.message.partition(" ")
        self._say(names.get(first, first) + space + rest)

    def _say(self, message: str) -> None:
        self.message = message
        self.args = (message,)

    def to_wire(self) -> dict[str, Any]:
        """The fields of an event of type `error`."""
        hint = {} if self.retry_after_s is None else {"retry_after_s": self.retry_after_s}
        return {"code": self.code, "message": self.message, **hint}

    @staticmethod
    def from_wire(wire: Mapping[str, Any]) -> "ReportedError":
        """The error that an event of type `error` reports."""
        return ReportedError(wire)


class ReportedError(VoxtralError):
    """An error of another process, identified only by its code."""

    def __init__(self, wire: Mapping[str, Any]) -> None:
        super().__init__(wire["message"], retry_after_s=wire.get("retry_after_s"))
        self.code = wire["code"]


class InvalidJsonError(VoxtralError):
    code = "invalid_json"


class UnknownTypeError(VoxtralError):
    code = "unknown_type"


class MissingFieldError(VoxtralError):
    code = "missing_field"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidFieldError(VoxtralError):
    code = "invalid_field"

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {shown(value)}{_ALLOWED}{allowed}.")
        self.field = field

    def rename(self, names: Mapping[str, str]) -> None:
        """Also of other fields that are named in what is allowed."""
        super().rename(names)
        before, mark, allowed = self.message.rpartition(_ALLOWED)
        if mark:
            self._say(before + mark + _NAME.sub(lambda found: names.get(found[0], found[0]), allowed))


class InvalidAudioError(VoxtralError):
    code = "invalid_audio"


class DecoderFailedError(InvalidAudioError):
    """The decoder crashed, or said what makes no sense."""

    def __init__(self) -> None:
        super().__init__("The file cannot be decoded: the decoder failed on it.")


class DecoderStalledError(InvalidAudioError):
    """The decoder returned nothing for so long. `what`: file or stream."""

    def __init__(self, what: str, after_s: float) -> None:
        super().__init__(f"The {what} cannot be decoded: the decoder returned nothing for {after_s:g} s.")


class UnsupportedAudioError(VoxtralError):
    code = "unsupported_audio"


class MediaTypeError(VoxtralError):
    """The body of an HTTP request has a media type that the path does not accept."""

    code = "unsupported_media_type"

    def __init__(self, media_type: str, allowed: str) -> None:
        super().__init__(f"The body's Content-Type is {shown(media_type)}; allowed: {allowed}.")


class ContentEncodingError(VoxtralError):
    """The body of an HTTP request is compressed."""

    code = "unsupported_content_encoding"

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The body's Content-Encoding is {shown(encoding)}; send it uncompressed. Opus and MP3 are small."
        )


class AudioTooLongError(VoxtralError):
    code = "audio_too_long"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"The audio is longer than {limit_s:g} s, the most that one request may hold.")


class ModeUnsupportedError(VoxtralError):
    code = "mode_unsupported"


class ModelUnavailableError(VoxtralError):
    code = "model_unavailable"


class StoreUnreachableError(ModelUnavailableError):
    """Redis is unavailable or accepts no writes. Without it, no request is served and no key can be checked."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            "The service cannot reach its store, or the store is full; try again shortly.", retry_after_s=retry_after_s
        )


class ServerBusyError(VoxtralError):
    code = "server_busy"


class RateLimitedError(VoxtralError):
    code = "rate_limited"


class MessageTooLargeError(VoxtralError):
    code = "message_too_large"
    closes_connection = True

    def __init__(self, size_bytes: int | None, limit_bytes: int, what: str = "message") -> None:
        """`what` was sent: a message, a body or a recording. `size_bytes` is None if it is not known."""
        size = "" if size_bytes is None else f" of {size_bytes} bytes"
        super().__init__(f"The {what}{size} is over the limit of {limit_bytes} bytes.")


class FrameInvalidError(VoxtralError):
    code = "frame_invalid"
    closes_connection = True


class UnauthorizedError(VoxtralError):
    code = "unauthorized"
    closes_connection = True


class ForbiddenError(VoxtralError):
    """The client is authenticated, or need not be, but is not allowed to make this request."""

    code = "forbidden"
    closes_connection = True


class SessionUnknownError(VoxtralError):
    code = "session_unknown"


class SessionExpiredError(VoxtralError):
    code = "session_expired"


class SessionResumedError(VoxtralError):
    code = "session_resumed"


class ViewerSlowError(VoxtralError):
    """A viewer reads more slowly than text is written. The session and its other viewers do not wait for it."""

    code = "viewer_slow"


class IdleTimeoutError(VoxtralError):
    code = "idle_timeout"
    closes_connection = True

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"Nothing was received for {timeout_s:g} s.")


class InternalError(VoxtralError):
    """An internal fault. The log has the cause under the incident id."""

    def __init__(self, incident: str) -> None:
        super().__init__(f"The server failed (incident {incident}).")


class StartupError(Exception):
    """A setting or the machine does not allow a start. One sentence; the process exits with status 78 (EX_CONFIG)."""


def shown(value: object, limit_chars: int = 60) -> str:
    """A client's value, quoted and shortened so that no message grows with the input."""
    text = repr(value)
    return text if len(text) <= limit_chars else text[: limit_chars - 1] + "…"
