"""`DELETE /v1/sessions/{session_id}`: erases a session at once, for who opened it.

The session's resume token is enough, so that this works without keys, too; the gate of `/v1` does not look at it.
No cookie is involved, so origins need not be looked at.
"""

from typing import Final

from fastapi import APIRouter, Request, Response

from frontend.access.credentials import presented_key
from frontend.api.openapi import refusals
from frontend.sessions.erasure import Erasure

_REFUSALS: Final = refusals.refusals(
    {
        401: "Neither a key nor a resume token came, or the key is wrong or has expired.",
        403: "Another key has opened the session, or this is a viewer token or a client token.",
        404: "No session has this id, or it was cancelled, or ended long ago; or this is not its resume token.",
        429: "The key's limit is reached.",
        503: "Redis is gone for the moment; nothing was erased.",
    },
    {401, 403, 404, 429, 503},
)


def routes(erasure: Erasure) -> APIRouter:
    """The routes of those who have opened a session."""
    router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["sessions"])

    @router.delete(
        "",
        status_code=204,
        response_class=Response,
        responses={204: {"description": "All of it is deleted."}, **_REFUSALS},
        dependencies=refusals.FOR_OWNERS,
    )
    async def erase(request: Request, session_id: str) -> Response:
        """Erase a session, live or ended: its audio, its events and its transcript.

        Its worker stops, its slot is free, and who follows it gets the error `session_expired`.
        """
        await erasure.erase_for(presented_key(request.headers.items()), session_id)
        return Response(status_code=204)

    return router
