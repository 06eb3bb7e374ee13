"""Errors in the shape of Deepgram's API."""

from dataclasses import dataclass
from typing import Any, Final

from frontend.protocols.deepgram.query import NAMES
from frontend.protocols.error_statuses import status_of
from shared.errors import MissingFieldError, VoxtralError

ADDRESSES: Final = ("/v1/listen", "/v2/listen")
CODES: Final = {
    400: "Bad Request",
    401: "INVALID_AUTH",
    403: "INSUFFICIENT_PERMISSIONS",
    404: "Not Found",
    408: "SLOW_UPLOAD",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
}
"""Deepgram's `err_code` by HTTP status."""


@dataclass(frozen=True, slots=True)
class DeepgramErrors:
    """An `ErrorRenderer`. The body repeats the id of the request."""

    request_id: str

    def error_status(self, error: VoxtralError) -> int:
        return 400 if error.field == "model" or error.code == MissingFieldError.code else status_of(error).status

    def error_body(self, error: VoxtralError) -> dict[str, Any]:
        error.rename(NAMES)
        return self._body(CODES.get(self.error_status(error), "INTERNAL_SERVER_ERROR"), error.message)

    def router_error(self, message: str, code: str | None) -> dict[str, Any]:
        return self._body("Not Found" if code in (None, "not_found") else "Bad Request", message)

    def headers(self, message: str) -> dict[str, str]:
        return {"dg-error": message.encode("ascii", "replace").decode(), "dg-request-id": self.request_id}

    def _body(self, code: str, message: str) -> dict[str, Any]:
        return {"err_code": code, "err_msg": message, "request_id": self.request_id}
