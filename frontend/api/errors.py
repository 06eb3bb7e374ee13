"""Errors as HTTP answers. `middleware.ApiAnswers` calls `refusal` for whatever a route of `/v1` raises."""

import math
from typing import Final

from starlette.responses import JSONResponse

from frontend.api.renderers import Renderer
from shared.errors import ContentEncodingError, VoxtralError

DEFAULT_RETRY_AFTER_S: Final = 2.0
HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed", 426: "upgrade_required"}
"""Codes of answers without an error of ours."""


def refusal(error: VoxtralError, renderer: Renderer) -> JSONResponse:
    """The whole answer, with `Retry-After` if trying again may help."""
    status = renderer.error_status(error)
    headers = {}
    if status in (429, 503):
        retry_after_s = DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
        headers["retry-after"] = str(max(1, math.ceil(retry_after_s)))
    if error.code == ContentEncodingError.code:
        headers["accept-encoding"] = "identity"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(renderer.error_body(error), status, headers)


def http_refusal(status: int, message: str, renderer: Renderer, headers: dict[str, str]) -> JSONResponse:
    """The router's answer: no such address, or another method."""
    return JSONResponse(renderer.router_error(message, HTTP_CODES.get(status)), status, headers)
