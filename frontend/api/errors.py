"""What an HTTP client is told of an error: the one ladder from our errors to statuses, and each dialect's own body.

`refusal` makes the answer; `middleware.ApiAnswers` calls it for whatever a route of `/v1` raises.
"""

import math
from enum import StrEnum
from typing import Any, Final

from starlette.responses import JSONResponse

from frontend.protocols.error_statuses import MODEL_NOT_FOUND, rung_of
from shared.errors import (
    ContentEncodingError,
    MissingFieldError,
    VoxtralError,
)

DEFAULT_RETRY_AFTER_S: Final = 2.0


class ApiDialect(StrEnum):
    """Whose clients a request comes from."""

    OPENAI = "openai"
    MISTRAL = "mistral"


HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed", 426: "upgrade_required"}
"""Of answers that no error of ours is behind."""


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
