"""`POST /v1/realtime/client_secrets`: a short-lived token for a web page, so that the key stays on its server.

Follows OpenAI's API. The session is stored as it was sent, for the client that connects with the token. A session that
no connection could use is rejected here, where the caller sees the error: a browser hides why a WebSocket was rejected.
A model that does not run now may run by the time of the connection, so the connection checks that.
"""

import secrets
from typing import Any, Final

from fastapi import APIRouter, Depends, Request

from frontend.access.access import Access
from frontend.api.authentication import principal_of
from frontend.api.openapi import documents, refusals
from frontend.api.openapi.schemas import named
from frontend.api.upload_form import bounded
from frontend.protocols.json_objects import decode_body
from frontend.protocols.kinds import whole_number
from frontend.protocols.openai.errors import RefusedError
from frontend.protocols.openai.session import SessionConfig, begun
from frontend.sessions.gateway import Gateway
from frontend.sessions.model_names import check_live
from shared.config.settings import Settings
from shared.errors import InvalidFieldError

MAX_BODY_BYTES: Final = 64 * 1024
SHORTEST_LIFE_S: Final = 10
LONGEST_LIFE_S: Final = 7200
DEFAULT_LIFE_S: Final = 600


def routes(settings: Settings, gateway: Gateway, access: Access) -> APIRouter:
    router = APIRouter(tags=["Realtime"], dependencies=[*refusals.KEYED, Depends(documents.asked_dialect)])
    patience_s = settings.session.idle_timeout_s

    @router.post("/v1/realtime/client_secrets", **_DOCUMENT)
    async def create_client_secret(request: Request) -> dict[str, Any]:
        """Create a token that can open sessions for `expires_after.seconds`, with the limits of the key that is
        used."""
        body = b"".join([piece async for piece in bounded(request, MAX_BODY_BYTES, patience_s)])
        wanted = decode_body(body) if body else {}
        session = wanted.get("session")
        config = begun(session)
        _check_speakers(config)
        await _check_model(config, gateway)
        token, expires_at = await access.new_client_token(principal_of(request), session, _life_s(wanted))
        return {"value": token, "expires_at": expires_at, "session": _described(config)}

    return router


def _life_s(wanted: dict[str, Any]) -> int:
    after = wanted.get("expires_after")
    if after is None:
        return DEFAULT_LIFE_S
    if not isinstance(after, dict):
        raise InvalidFieldError("expires_after", after, "an object with seconds")
    if after.get("anchor", "created_at") != "created_at":
        raise InvalidFieldError("expires_after.anchor", after["anchor"], "created_at")
    wanted_s = after.get("seconds", DEFAULT_LIFE_S)
    life_s = whole_number(wanted_s)
    if life_s is None or not SHORTEST_LIFE_S <= life_s <= LONGEST_LIFE_S:
        allowed = f"an integer from {SHORTEST_LIFE_S} to {LONGEST_LIFE_S}"
        raise InvalidFieldError("expires_after.seconds", wanted_s, allowed)
    return life_s


def _check_speakers(config: SessionConfig) -> None:
    """Raises RefusedError for voices: they would be stored as long as the token."""
    if (config.transcription or {}).get("known_speakers"):
        raise RefusedError(
            "invalid_parameter",
            "The session of a token has no known speakers; send them with session.update.",
            "session.audio.input.transcription.known_speakers",
        )


async def _check_model(config: SessionConfig, gateway: Gateway) -> None:
    """Raises RefusedError for an unknown model."""
    name = config.options(None).model
    if name is None:
        return
    try:
        check_live(name, await gateway.models())
    except InvalidFieldError as error:
        raise RefusedError("model_not_found", error.message, "session.audio.input.transcription.model") from None


def _described(config: SessionConfig) -> dict[str, Any]:
    """The session with which connections begin. Each of them has its own id and end."""
    return {"id": f"sess_{secrets.token_hex(12)}"} | config.to_wire()


_ASKED: Final = named(
    "ClientSecretRequest",
    {
        "type": "object",
        "properties": {
            "expires_after": {
                "type": "object",
                "properties": {
                    "anchor": {"const": "created_at"},
                    "seconds": {
                        "type": "integer",
                        "minimum": SHORTEST_LIFE_S,
                        "maximum": LONGEST_LIFE_S,
                        "default": DEFAULT_LIFE_S,
                    },
                },
            },
            "session": {
                "type": "object",
                "description": "A session of OpenAI's Realtime API, of the type `transcription`, with which a "
                "connection starts. Its model need not be running yet.",
            },
        },
    },
)
_TOLD: Final = named(
    "ClientSecret",
    {
        "type": "object",
        "properties": {
            "value": {"type": "string"},
            "expires_at": {"type": "integer"},
            "session": {"type": "object", "description": "The whole session. Each connection has an `id` of its own."},
        },
        "required": ["value", "expires_at", "session"],
    },
)
_DOCUMENT: Final[dict[str, Any]] = {
    "operation_id": "createClientSecret",
    "summary": "Create a token for a web page",
    "response_model": None,
    "responses": {
        200: {"description": "The token.", "content": {"application/json": {"schema": _TOLD}}},
        **refusals.errors(400, 408),
    },
    "openapi_extra": {"requestBody": {"content": {"application/json": {"schema": _ASKED}}}},
}
