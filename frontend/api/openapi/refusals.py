"""What the OpenAPI document says about every address: how to present a key, and the responses of the gate.

Nothing here checks or rejects anything; `authentication`, `middleware` and `errors` do.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Path, Security
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBearer

from frontend.api.openapi.schemas import INTEGER, NULLABLE_TEXT, TEXT, Schema, json_of, list_of, named, object_of

_OPENAI_ERROR: Final = object_of(
    {"error": object_of({"message": TEXT, "type": TEXT, "param": NULLABLE_TEXT, "code": NULLABLE_TEXT})},
    name="OpenAIError",
    examples=[
        {
            "error": {
                "message": "temperature is 7; allowed: a number from 0 to 2.",
                "type": "invalid_request_error",
                "param": "temperature",
                "code": "invalid_value",
            }
        }
    ],
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
    name="MistralError",
)
_DEEPGRAM_ERROR: Final = object_of({"err_code": TEXT, "err_msg": TEXT, "request_id": TEXT}, name="DeepgramError")
ERROR: Final = named(
    "Error", {"anyOf": [_OPENAI_ERROR, _MISTRAL_ERROR, _DEEPGRAM_ERROR], "description": "In the client's dialect."}
)
_RETRY_AFTER: Final = {"Retry-After": {"schema": INTEGER, "description": "Seconds to wait before a retry."}}

EVERYWHERE: Final = (401, 403, 413, 429, 503)
"""Statuses with which the gate of `/v1` may answer instead of any route."""
_MEANINGS: Final = {
    400: "The request is invalid; the message says what is wrong and what is allowed.",
    401: "A key is required, and it is missing, wrong or expired.",
    403: "This origin or client token is not allowed to make this request, or the `Host` is not allowed.",
    404: "No running model has this name.",
    408: "The rest of the body did not arrive in time.",
    413: "The body is larger than the limit.",
    415: "The body has an unsupported media type, or is compressed.",
    422: "A field is missing (Mistral's dialect).",
    429: "The key's limit is reached.",
    503: "No model or no free slot is available now.",
}

_KEY: Final = (
    HTTPBearer(
        scheme_name="Bearer",
        description="A key or a client token. Required if keys are configured.",
        auto_error=False,
    ),
    APIKeyHeader(name="X-API-Key", scheme_name="X-API-Key", description="A key, as with `Bearer`.", auto_error=False),
)
_RESUME_TOKEN: Final = HTTPBearer(
    scheme_name="ResumeToken",
    description="The `resume_token` of the session's `ready`; works with and without keys.",
    auto_error=False,
)
_VIEWER_TOKEN: Final = (
    HTTPBearer(
        scheme_name="ViewerToken",
        description="The `viewer_token` of the session's `ready`. No key is required.",
        auto_error=False,
    ),
    APIKeyQuery(
        name="token",
        scheme_name="ViewerTokenInAddress",
        description="The viewer token, for clients that cannot set headers.",
        auto_error=False,
    ),
)
SessionId = Annotated[str, Path(description="`session_id` of the session's `ready`.", examples=["5f0c2a9be1d84c70"])]
"""The parameter of the addresses of a session."""

KEYED: Final = [Security(scheme) for scheme in _KEY]
"""Dependencies of the routes behind the gate, which is the only part that checks the key."""
FOR_OWNERS: Final = [*KEYED, Security(_RESUME_TOKEN)]
"""Dependencies of the routes for the owner of a session."""
FOR_VIEWERS: Final = [Security(scheme) for scheme in _VIEWER_TOKEN]
"""Dependencies of the routes for viewers of a session."""


def errors(*statuses: int) -> dict[int | str, Schema]:
    """The responses of a route with these statuses, and those of the gate."""
    return refusals(_MEANINGS, {*statuses, *EVERYWHERE})


def refusals(meanings: Mapping[int, str], statuses: set[int]) -> dict[int | str, Schema]:
    """The responses with these statuses, for a route with its own meanings."""
    answers: dict[int | str, Schema] = {status: json_of(meanings[status], ERROR) for status in sorted(statuses)}
    for status in {429, 503} & answers.keys():
        answers[status] = answers[status] | {"headers": _RETRY_AFTER}
    return answers
