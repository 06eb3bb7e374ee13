"""What the OpenAPI document says of every address: how a key is shown, and what is answered in place of a route.

Nothing here checks or refuses anything; `gate`, `middleware` and `errors` do.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Security
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBearer

from frontend.api.openapi.schemas import INTEGER, NULLABLE_TEXT, TEXT, Schema, json_of, list_of, object_of

_OPENAI_ERROR: Final = object_of(
    {"error": object_of({"message": TEXT, "type": TEXT, "param": NULLABLE_TEXT, "code": NULLABLE_TEXT})}
)
_MISTRAL_ERROR: Final = object_of(
    {
        "object": {"const": "error"},
        "message": TEXT,
        "type": TEXT,
        "param": NULLABLE_TEXT,
        "code": NULLABLE_TEXT,
        "detail": list_of(object_of({"loc": list_of(TEXT), "msg": TEXT, "type": TEXT})),
    },
    *("object", "message", "type", "param", "code"),
)
_RETRY_AFTER: Final = {"Retry-After": {"schema": INTEGER, "description": "Seconds after which to try again."}}

EVERYWHERE: Final = (401, 403, 413, 429, 503)
"""What the gate of `/v1` may answer in place of any route."""
_MEANINGS: Final = {
    400: "What was sent is wrong; the message says what, and what is allowed.",
    401: "A key is needed, and none came, or one that is wrong or has expired.",
    403: "The page, or the client token, that asks may not; or the service does not answer to the `Host`.",
    404: "No running model answers to this name.",
    408: "The rest of the body did not come.",
    413: "The body is over the limit.",
    415: "The body is of another media type, or compressed.",
    422: "A field is missing (Mistral's dialect).",
    429: "The key's limit is reached.",
    503: "No model, or no free slot, for now.",
}

_KEY: Final = (
    HTTPBearer(
        scheme_name="Bearer",
        description="A key, or a client token. Needed where keys are configured; without them nobody is asked.",
        auto_error=False,
    ),
    APIKeyHeader(name="X-API-Key", scheme_name="X-API-Key", description="A key, as with `Bearer`.", auto_error=False),
)
_RESUME_TOKEN: Final = HTTPBearer(
    scheme_name="Resume token",
    description="The `resume_token` of the session's `ready`, where keys are configured or not.",
    auto_error=False,
)
_VIEWER_TOKEN: Final = (
    HTTPBearer(
        scheme_name="Viewer token",
        description="The `viewer_token` of the session's `ready`. No key is asked for.",
        auto_error=False,
    ),
    APIKeyQuery(
        name="token",
        scheme_name="Viewer token in the address",
        description="The viewer token, for clients that cannot set headers.",
        auto_error=False,
    ),
)
KEYED: Final = [Security(scheme) for scheme in _KEY]
"""Dependencies of the routes behind the gate, which alone looks at the key."""
FOR_OWNERS: Final = [*KEYED, Security(_RESUME_TOKEN)]
"""Dependencies of the routes of those who have opened a session."""
FOR_VIEWERS: Final = [Security(scheme) for scheme in _VIEWER_TOKEN]
"""Dependencies of the routes of those who read along."""


class DocumentedApi(FastAPI):
    """Whose document lacks FastAPI's own 422: what its checks refuse is answered with 400."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
        for unused in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(unused, None)
        return document


def errors(*statuses: int) -> dict[int | str, Schema]:
    """What a route answers with these statuses, and what the gate does."""
    return refusals(_MEANINGS, {*statuses, *EVERYWHERE})


def refusals(meanings: Mapping[int, str], statuses: set[int]) -> dict[int | str, Schema]:
    """Answers with these statuses, for a route with meanings of its own."""
    answers: dict[int | str, Schema] = {
        status: json_of(meanings[status], {"anyOf": [_OPENAI_ERROR, _MISTRAL_ERROR]}) for status in sorted(statuses)
    }
    for status in {429, 503} & answers.keys():
        answers[status] = answers[status] | {"headers": _RETRY_AFTER}
    return answers
