"""Errors for clients of OpenAI's Realtime API: its codes, and the full path of the invalid parameter."""

from dataclasses import dataclass
from typing import Any, Final

from shared.errors import (
    IdleTimeoutError,
    InternalError,
    InvalidFieldError,
    InvalidJsonError,
    ModelUnavailableError,
    RateLimitedError,
    ServerBusyError,
    SessionExpiredError,
    UnauthorizedError,
    VoxtralError,
    shown,
)

REQUEST: Final = "invalid_request_error"
SERVER: Final = "server_error"
TRY_AGAIN_CLOSE: Final = 1013


class RefusedError(InvalidFieldError):
    """A client's event that requests something impossible, in OpenAI's format. `field` is a full path."""

    def __init__(self, wire_code: str, message: str, param: str | None = None) -> None:
        VoxtralError.__init__(self, message)
        self.wire_code = wire_code
        self.field = param


def invalid_value(value: object, path: str, allowed: str) -> RefusedError:
    return RefusedError("invalid_value", f"Invalid value for '{path}': {shown(value)}. Allowed: {allowed}.", path)


def invalid_type(value: object, path: str, expected: str) -> RefusedError:
    return RefusedError("invalid_type", f"Invalid type for '{path}': {shown(value)}. Expected: {expected}.", path)


def missing(path: str) -> RefusedError:
    return RefusedError("missing_required_parameter", f"Missing required parameter: '{path}'.", path)


@dataclass(frozen=True, slots=True)
class Wording:
    """OpenAI's `type` and `code` for one of our errors, and the close code if it closes the connection."""

    type: str
    code: str
    close_code: int | None = None


WORDING: Final[dict[type[VoxtralError], Wording]] = {
    InvalidJsonError: Wording(REQUEST, "invalid_event"),
    InvalidFieldError: Wording(REQUEST, "invalid_value"),
    UnauthorizedError: Wording(REQUEST, "invalid_api_key", 3000),
    RateLimitedError: Wording("rate_limit_error", "rate_limit_exceeded"),
    SessionExpiredError: Wording(REQUEST, "session_expired", 1001),
    IdleTimeoutError: Wording(REQUEST, "idle_timeout", 1001),
    ServerBusyError: Wording(SERVER, "server_busy", TRY_AGAIN_CLOSE),
    ModelUnavailableError: Wording(SERVER, "model_unavailable", TRY_AGAIN_CLOSE),
    InternalError: Wording(SERVER, "internal_error"),
}
"""Clients reconnect by themselves after 1001 and 1013, and after no other code here."""


def wording_of(error: VoxtralError) -> Wording:
    if isinstance(error, RefusedError):
        return Wording(REQUEST, error.wire_code)
    if isinstance(error, InvalidFieldError) and error.field == "model":
        return Wording(REQUEST, "model_not_found")
    return WORDING.get(type(error), Wording(REQUEST, error.code))


def details(error: VoxtralError, param: str | None) -> dict[str, Any]:
    """The object that describes an error in `error` events and failed transcriptions."""
    wording = wording_of(error)
    return {"type": wording.type, "code": wording.code, "message": error.message, "param": param}
