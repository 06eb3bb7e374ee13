"""Maps our errors to HTTP statuses and to the `type` and `code` of the OpenAI API. Pure."""

from dataclasses import dataclass
from typing import Final

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
class ErrorStatus:
    """The HTTP status of an error, and OpenAI's `type` and `code` for it."""

    status: int
    type: str
    code: str | None = None
    """None: our own code."""


BAD_REQUEST: Final = ErrorStatus(400, "invalid_request_error")
MODEL_NOT_FOUND: Final = ErrorStatus(404, "invalid_request_error", "model_not_found")
STATUSES: Final[dict[str, ErrorStatus]] = {
    InvalidJsonError.code: BAD_REQUEST,
    UnknownTypeError.code: BAD_REQUEST,
    MissingFieldError.code: BAD_REQUEST,
    InvalidFieldError.code: ErrorStatus(400, "invalid_request_error", "invalid_value"),
    InvalidAudioError.code: BAD_REQUEST,
    UnsupportedAudioError.code: BAD_REQUEST,
    AudioTooLongError.code: BAD_REQUEST,
    ModeUnsupportedError.code: BAD_REQUEST,
    FrameInvalidError.code: BAD_REQUEST,
    UnauthorizedError.code: ErrorStatus(401, "invalid_request_error", "invalid_api_key"),
    ForbiddenError.code: ErrorStatus(403, "invalid_request_error"),
    SessionUnknownError.code: ErrorStatus(404, "invalid_request_error"),
    SessionExpiredError.code: ErrorStatus(404, "invalid_request_error"),
    ViewerSlowError.code: ErrorStatus(408, "invalid_request_error"),
    IdleTimeoutError.code: ErrorStatus(408, "invalid_request_error"),
    SessionResumedError.code: ErrorStatus(409, "invalid_request_error"),
    MessageTooLargeError.code: ErrorStatus(413, "invalid_request_error"),
    MediaTypeError.code: ErrorStatus(415, "invalid_request_error"),
    ContentEncodingError.code: ErrorStatus(415, "invalid_request_error"),
    RateLimitedError.code: ErrorStatus(429, "rate_limit_error", "rate_limit_exceeded"),
    ServerBusyError.code: ErrorStatus(503, "server_error"),
    ModelUnavailableError.code: ErrorStatus(503, "server_error"),
    InternalError.code: ErrorStatus(500, "server_error"),
}
"""By the code of the error."""


REQUEST_STATUSES: Final = frozenset({400, 401, 403, 413, 415, 429})
"""Of errors that the same request would get again: it, its key or its limit must change."""


def is_of_request(error: VoxtralError) -> bool:
    """Whether the client's request caused the error, rather than the service or the end of the session."""
    return STATUSES.get(error.code, STATUSES[InternalError.code]).status in REQUEST_STATUSES


def status_of(error: VoxtralError) -> ErrorStatus:
    if isinstance(error, InvalidFieldError) and error.field == "model":
        return MODEL_NOT_FOUND
    return STATUSES.get(error.code, STATUSES[InternalError.code])
