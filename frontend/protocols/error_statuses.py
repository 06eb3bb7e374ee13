"""From our errors to HTTP statuses and to the `type` and `code` of the OpenAI API. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from shared.errors import (
    AudioTooLongError,
    ContentEncodingError,
    ForbiddenError,
    FrameInvalidError,
    IdleTimeoutError,
    InternalError,
    InvalidAudioError,
    InvalidFieldError,
    InvalidJsonError,
    MediaTypeError,
    MessageTooLargeError,
    MissingFieldError,
    ModelUnavailableError,
    ModeUnsupportedError,
    RateLimitedError,
    ServerBusyError,
    SessionExpiredError,
    SessionResumedError,
    SessionUnknownError,
    UnauthorizedError,
    UnknownTypeError,
    UnsupportedAudioError,
    ViewerSlowError,
    VoxtralError,
)


@dataclass(frozen=True, slots=True)
class Rung:
    """Where an error stands: its HTTP status, and OpenAI's `type` and `code` for it."""

    status: int
    type: str
    code: str | None = None
    """None: our own code."""


BAD_REQUEST: Final = Rung(400, "invalid_request_error")
MODEL_NOT_FOUND: Final = Rung(404, "invalid_request_error", "model_not_found")
LADDER: Final[dict[type[VoxtralError], Rung]] = {
    InvalidJsonError: BAD_REQUEST,
    UnknownTypeError: BAD_REQUEST,
    MissingFieldError: BAD_REQUEST,
    InvalidFieldError: Rung(400, "invalid_request_error", "invalid_value"),
    InvalidAudioError: BAD_REQUEST,
    UnsupportedAudioError: BAD_REQUEST,
    AudioTooLongError: BAD_REQUEST,
    ModeUnsupportedError: BAD_REQUEST,
    FrameInvalidError: BAD_REQUEST,
    UnauthorizedError: Rung(401, "invalid_request_error", "invalid_api_key"),
    ForbiddenError: Rung(403, "invalid_request_error"),
    SessionUnknownError: Rung(404, "invalid_request_error"),
    SessionExpiredError: Rung(404, "invalid_request_error"),
    ViewerSlowError: Rung(408, "invalid_request_error"),
    IdleTimeoutError: Rung(408, "invalid_request_error"),
    SessionResumedError: Rung(409, "invalid_request_error"),
    MessageTooLargeError: Rung(413, "invalid_request_error"),
    MediaTypeError: Rung(415, "invalid_request_error"),
    ContentEncodingError: Rung(415, "invalid_request_error"),
    RateLimitedError: Rung(429, "rate_limit_error", "rate_limit_exceeded"),
    ServerBusyError: Rung(503, "server_error"),
    ModelUnavailableError: Rung(503, "server_error"),
    InternalError: Rung(500, "server_error"),
}
"""By class; an error that is not here stands where its nearest base does."""


def rung_of(error: VoxtralError) -> Rung:
    if isinstance(error, InvalidFieldError) and error.field == "model":
        return MODEL_NOT_FOUND
    return next((LADDER[known] for known in type(error).__mro__ if known in LADDER), LADDER[InternalError])


def error_of(event: dict[str, Any]) -> VoxtralError:
    """The error that a session's last event tells of."""
    kind = next((known for known in LADDER if known.code == event["code"]), VoxtralError)
    error = kind.__new__(kind)
    VoxtralError.__init__(error, event["message"], retry_after_s=event.get("retry_after_s"))
    return error
