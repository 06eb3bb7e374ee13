"""Looks after sessions that have gone quiet: their owner may have died, or a message may have been lost.

A session whose lease has lapsed is dispatched again; another worker continues it from its checkpoint. So is a new one
that no worker claims: a worker may have died, or hung, with its task in hand.
"""

import asyncio
import time
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.states import OWNED, SessionState, decoded
from shared.dispatch import Dispatcher
from shared.errors import ModelUnavailableError, SessionExpiredError

INTERVAL_S: Final = 0.5
QUIET_S: Final = 1.5
"""Sessions that were heard of more recently are not looked up."""
EXPIRED: Final = "The session has expired, as after the machine was suspended or its clock was set; start a new one."
"""Redis drops what has not been renewed for `keys.SESSION_TTL_S` by its wall clock."""

log = structlog.get_logger()


class Watch:
    def __init__(self, redis: Redis, sessions: dict[str, Session], dispatcher: Dispatcher, give_up_s: float) -> None:
        self._redis = redis
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._give_up_s = give_up_s

    async def run(self) -> None:
        """The loop; runs until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            now_s = time.monotonic()
            quiet = []
            for session in self._sessions.values():
                if now_s - session.heard_at_s > QUIET_S:
                    quiet.append(session)
                else:
                    session.lost_at_s = None
            if quiet:
                try:
                    await self._look_up(quiet)
                except (RedisError, OSError) as error:
                    log.warning("watch_delayed", reason=str(error))

    async def _look_up(self, quiet: list[Session]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        for session in quiet:
            pipe.execute_command("HMGET", keys.session(session.id), "state", "lease", "consumed", "seq")
        (seconds, microseconds), *found = await pipe.execute()
        now_ms = seconds * 1000 + microseconds // 1000
        for session, (held_state, lease, consumed, seq) in zip(quiet, found, strict=True):
            state = decoded(held_state)
            if consumed is not None:
                session.progress(int(consumed))
            if seq is not None and int(seq) > session.seq:
                session.fill()
            if state == SessionState.WAITING and session.dispatched_at_s is None:
                continue  # it is in the line of those that start
            if state == SessionState.WAITING or (state in OWNED and int(lease) < now_ms):
                await self._recover(session)
            elif state in OWNED:
                session.lost_at_s = None
            elif state is None:
                session.fail_with(SessionExpiredError(EXPIRED))

    async def _recover(self, session: Session) -> None:
        now_s = time.monotonic()
        if session.lost_at_s is None:
            session.lost_at_s = session.dispatched_at_s = now_s
        elif now_s - session.lost_at_s > self._give_up_s:
            session.fail_with(ModelUnavailableError(f"No worker took the session over within {self._give_up_s:g} s."))
            return
        elif session.dispatched_at_s is not None and now_s - session.dispatched_at_s < keys.LEASE_S:
            return
        log.warning("session_has_no_worker", session_id=session.id)
        session.dispatched_at_s = now_s
        await self._dispatcher.dispatch(session.id, session.options, session.queue)
