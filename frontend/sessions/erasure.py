"""Deletes a session's audio, events and text at once, if the request is authorised, and stops its worker and viewers.

The rest in the append-only file is deleted when the file is rewritten; see `disk_rewriting`.
"""

from typing import cast

import orjson
import structlog
from redis.asyncio import Redis

from frontend.access.access import Access
from frontend.access.session_tokens import is_session_id, matches
from shared.bus import control, keys, moves
from shared.bus.failures import reaching_store
from shared.bus.lua.sessions import Scripts
from shared.bus.messages import WorkerMessage
from shared.bus.states import SessionState, decoded
from shared.errors import ForbiddenError, SessionExpiredError, SessionUnknownError, UnauthorizedError

log = structlog.get_logger(__name__)


class Erasure:
    """One per frontend process."""

    def __init__(self, redis: Redis, scripts: Scripts, access: Access) -> None:
        self._redis = redis
        self._scripts = scripts
        self._access = access

    async def erase(self, session_id: str, model: str) -> bool:
        """Delete everything that Redis holds of a session, and stop its worker. False if there is no such session.

        Clients and viewers that follow it get `session_expired` as its last event. Raises Redis errors.
        """
        owner = await moves.erase(self._scripts, session_id, model)
        if owner:
            await control.send(self._redis, owner, WorkerMessage.CANCEL, session_id)
        return owner is not None

    async def erase_for(self, presented: str | None, session_id: str) -> None:
        """The same, if the request presents the session's resume token or the API key that opened it.

        Raises SessionUnknownError, SessionExpiredError (it was cancelled a moment ago), UnauthorizedError,
        ForbiddenError, RateLimitedError, StoreUnreachableError.
        """
        if presented is None:
            raise UnauthorizedError(
                "The key that opened the session, or its resume_token, is required: Authorization: Bearer …."
            )
        if not is_session_id(session_id):
            session_id = "-"  # no session has this id: the request is answered like one with an unknown id
        with reaching_store():
            held = await self._redis.hmget(keys.session(session_id), ["state", "resume", "viewer", "key", "options"])
        state, resume, viewer, key_name, options = cast("list[bytes | None]", held)
        if matches(presented, viewer):
            raise ForbiddenError("A viewer token can view a session but not erase it.")
        if not matches(presented, resume):
            await self._check_owner(presented, key_name if state is not None else None)
        if decoded(state) == SessionState.CANCELLED:
            raise SessionExpiredError("The session was cancelled.")
        if options is None:
            raise _unknown()
        with reaching_store():
            erased = await self.erase(session_id, orjson.loads(options)["model"])
        if not erased:
            raise _unknown()
        log.info("session_erased", session_id=session_id)

    async def _check_owner(self, presented: str, opened_by: bytes | None) -> None:
        """`opened_by` is the name of the key that opened the session; None if there is no such session."""
        if not self._access.enabled:
            raise _unknown()
        principal = await self._access.identify(presented)
        await self._access.take_request(principal)
        if principal.is_client_token:
            raise ForbiddenError("A client token cannot erase sessions; use the key, or the session's resume_token.")
        if opened_by is None:
            raise _unknown()
        if opened_by.decode() != principal.name:
            raise ForbiddenError("Another key opened this session; use that key, or the session's resume_token.")


def _unknown() -> SessionUnknownError:
    return SessionUnknownError("No session has this id, or it ended too long ago.")
