"""One session for each identity: two connections may present the same one, such as that of the stream of a call."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.access.tokens import new_token
from shared.bus import keys
from shared.bus.failures import reaching_store
from shared.bus.lua.sessions import END_OPENING
from shared.bus.scripts import Script
from shared.errors import SessionResumedError

MARGIN_S: Final = 30
"""Time for an opening in addition to the wait for a worker."""


@contextlib.asynccontextmanager
async def sole_opening(redis: Redis, session_id: str, claim_timeout_s: float) -> AsyncIterator[None]:
    """Inside, no other connection opens a session with this id, at any frontend.

    Raises SessionResumedError if a session has the id or another connection is opening one, before it changes anything
    of that session; StoreUnreachableError and ServerBusyError.
    """
    mark, own = keys.opening(session_id), new_token("").encode()
    with reaching_store():
        holder = await redis.set(mark, own, nx=True, get=True, ex=int(claim_timeout_s) + MARGIN_S)
    if holder not in (None, own):  # its own if the command was repeated
        raise SessionResumedError(f"Another connection is opening session {session_id}.")
    try:
        with reaching_store():
            exists = await redis.exists(keys.session(session_id))
        if exists:
            raise SessionResumedError(f"Session {session_id} has begun already, over another connection.")
        yield
    finally:
        with contextlib.suppress(RedisError, OSError):  # it expires
            await Script(redis, END_OPENING)(keys=[mark], args=[own])
