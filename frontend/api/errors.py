"""Errors as HTTP responses. `middleware.ApiAnswers` calls `refusal` for every exception of a route of `/v1`."""

import math
from typing import Final

from starlette.responses import JSONResponse

from frontend.api.renderers import ErrorRenderer
from shared.errors import ContentEncodingError, VoxtralError

DEFAULT_RETRY_AFTER_S: Final = 2.0
HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed", 426: "upgrade_required"}
"""Codes of responses that are not caused by an error class of ours."""


def refusal(error: VoxtralError, renderer: ErrorRenderer) -> JSONResponse:
    """The complete response, with `Retry-After` if a retry may succeed."""
    status = renderer.error_status(error)
    headers = {}
    if status in (429, 503):
        retry_after_s = DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
        headers["retry-after"] = str(max(1, math.ceil(retry_after_s)))
    if error.code == ContentEncodingError.code:
        headers["accept-encoding"] = "identity"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(renderer.error_body(error), status, headers | renderer.headers(error.message))


def http_refusal(status: int, message: str, renderer: ErrorRenderer, headers: dict[str, str]) -> JSONResponse:
    """The response for an unknown address or an unsupported method."""
    body = renderer.router_error(message, HTTP_CODES.get(status))
    return JSONResponse(body, status, headers | renderer.headers(message))
