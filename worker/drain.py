"""Hands the sessions of a stopping worker over to other workers.

It offers each session to the other workers of its model and serves it until one claims it, so that no client waits: if
no other worker has a free slot, the offer stays open and the session continues here. After the claim all later writes
of this worker are rejected, so the new owner's first event follows its last one.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.ownership import offer
from shared.dispatch import Dispatch
from shared.events import SAMPLE_RATE_HZ
from worker.celery_loop import TASK_WAIT_S
from worker.session import WorkerSession

TICK_S: Final = 0.05
FIRST_OFFER_S: Final = 2 * TASK_WAIT_S
"""By then this worker no longer waits for a task, so that it does not get its own offer."""
NEXT_OFFER_S: Final = 3.0
"""An offer that no worker has taken is repeated, since its task may have been lost with another worker."""
SHORT_REPLAY_SAMPLES: Final = 2 * SAMPLE_RATE_HZ
"""A new owner processes the open segment again before it publishes new text, so a session is offered while its open
segment is short: usually at its next pause."""
LATEST_OFFER_S: Final = 10.0
"""After this time a session is handed over even without a pause."""

log = structlog.get_logger()


class Drain:
    """Hands over the sessions of one worker. Only this class knows when each was offered."""

    def __init__(
        self,
        *,
        sessions: dict[str, WorkerSession],
        scripts: Scripts,
        dispatch: Dispatch,
        timeout_s: float,
        on_fenced: Callable[[WorkerSession], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._scripts = scripts
        self._dispatch = dispatch
        self._timeout_s = timeout_s
        self._on_fenced = on_fenced
        self._clock = clock
        self._offered_at_s: dict[WorkerSession, float] = {}

    async def run(self, hurry: asyncio.Event) -> None:
        """Return when no session is left, after the time-out, or when `hurry` is set."""
        begun_s = self._clock()
        while self._sessions and not hurry.is_set():
            elapsed_s = self._clock() - begun_s
            if elapsed_s >= self._timeout_s:
                return
            await self.check(elapsed_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await hurry.wait()

    async def check(self, elapsed_s: float) -> None:
        """One round, `elapsed_s` after the start of the drain: offer the sessions that are due."""
        now_s = self._clock()
        try:
            for session in list(self._sessions.values()):
                if elapsed_s >= FIRST_OFFER_S and session.ending is None and self._is_due(session, elapsed_s, now_s):
                    await self._offer(session, now_s)
        except (RedisError, OperationalError, OSError) as error:
            log.warning("handover_delayed", reason=str(error))

    async def _offer(self, session: WorkerSession, now_s: float) -> None:
        names, arguments = offer(session.claim.owner)
        if await self._scripts.offer(keys=names, args=arguments) == FENCED:
            self._on_fenced(session)
            return
        await self._dispatch(session.session_id, session.options, "stream", session.claim.key_name)
        session.offered()
        self._offered_at_s[session] = now_s

    def _is_due(self, session: WorkerSession, elapsed_s: float, now_s: float) -> bool:
        offered_at_s = self._offered_at_s.get(session)
        if offered_at_s is not None:
            return now_s - offered_at_s >= NEXT_OFFER_S
        return session.replay_samples <= SHORT_REPLAY_SAMPLES or elapsed_s >= LATEST_OFFER_S
