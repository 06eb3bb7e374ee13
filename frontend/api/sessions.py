"""`DELETE /v1/sessions/{session_id}`: erases a session at once, for the client that opened it.

The session's resume token is sufficient, so this works without keys too; the gate of `/v1` does not check it.
No cookie is involved, so origins need no check.
"""

from typing import Final

from fastapi import APIRouter, Request, Response

from frontend.access.credentials import presented_key
from frontend.api.openapi import refusals
from frontend.sessions.erasure import Erasure

_REFUSALS: Final = refusals.refusals(
    {
        401: "The request has neither a key nor a resume token, or the key is wrong or has expired.",
        403: "The session was opened with another key, or this is a viewer token or a client token.",
        404: "No session has this id, or it was cancelled, or it ended too long ago; or this is not its resume token.",
        429: "The key's limit is reached.",
        503: "Redis is not available; nothing was erased.",
    },
    {401, 403, 404, 429, 503},
)


def routes(erasure: Erasure) -> APIRouter:
    """The routes for the owner of a session."""
    router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["Sessions"])

    @router.delete(
        "",
        operation_id="eraseSession",
        summary="Erase a session",
        status_code=204,
        response_class=Response,
        responses={204: {"description": "The session is deleted completely."}, **_REFUSALS},
        dependencies=refusals.FOR_OWNERS,
    )
    async def erase(request: Request, session_id: refusals.SessionId) -> Response:
        """Erase a session, live or ended: its audio, its events and its transcript.

        Its worker stops, its slot becomes free, and clients and viewers that follow it get the error `session_expired`.
        """
        await erasure.erase_for(presented_key(request.headers.items()), session_id)
        return Response(status_code=204)

    return router
