"""What an HTTP client is told of an error: the one ladder from our errors to statuses, and each dialect's own body.

`refusal` makes the answer; `middleware.ApiAnswers` calls it for whatever a route of `/v1` raises.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from starlette.responses import JSONResponse

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

DEFAULT_RETRY_AFTER_S: Final = 2.0


class ApiDialect(StrEnum):
    """Whose clients a request comes from."""

    OPENAI = "openai"
    MISTRAL = "mistral"


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

HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed", 426: "upgrade_required"}
"""Of answers that no error of ours is behind."""


def rung_of(error: VoxtralError) -> Rung:
    if isinstance(error, InvalidFieldError) and error.field == "model":
        return MODEL_NOT_FOUND
    return next((LADDER[known] for known in type(error).__mro__ if known in LADDER), LADDER[InternalError])


def error_body(error: VoxtralError, dialect: ApiDialect) -> dict[str, Any]:
    """The JSON body, which is also what a stream that has begun says last."""
    rung = rung_of(error)
    return _body(dialect, error.message, rung.type, error.field, rung.code or error.code)


def refusal(error: VoxtralError, dialect: ApiDialect) -> JSONResponse:
    """The whole answer, with `Retry-After` where trying again may help."""
    status = rung_of(error).status
    body = error_body(error, dialect)
    if dialect is ApiDialect.MISTRAL:
        status = MISTRAL_STATUSES.get(type(error), 400 if error.field == "model" else status)
        if status == 422:  # its SDK takes `detail` for a list, or fails
            body["detail"] = [{"loc": ["body", error.field or ""], "msg": error.message, "type": error.code}]
    headers = {}
    if status in (429, 503):
        retry_after_s = DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
        headers["retry-after"] = str(max(1, math.ceil(retry_after_s)))
    if isinstance(error, ContentEncodingError):
        headers["accept-encoding"] = "identity"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(body, status, headers)


def error_of(event: dict[str, Any]) -> VoxtralError:
    """The error that a session's last event tells of."""
    kind = next((known for known in LADDER if known.code == event["code"]), VoxtralError)
    error = kind.__new__(kind)
    VoxtralError.__init__(error, event["message"], retry_after_s=event.get("retry_after_s"))
    return error


def http_refusal(status: int, message: str, dialect: ApiDialect, headers: dict[str, str]) -> JSONResponse:
    """An answer of the router's: no such address, or not in this way."""
    code = HTTP_CODES.get(status)
    return JSONResponse(_body(dialect, message, "invalid_request_error", None, code), status, headers)


MISTRAL_STATUSES: Final[dict[type[VoxtralError], int]] = {MissingFieldError: 422}
"""Where Mistral's statuses differ."""


def _body(dialect: ApiDialect, message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    if dialect is ApiDialect.MISTRAL:
        kind = "invalid_model" if code == MODEL_NOT_FOUND.code else kind
        return {"object": "error", "message": message, "type": kind, "param": param, "code": code}
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
