"""How a worker that is told to stop gets rid of its sessions.

It offers each to the other workers of its model and serves it until one claims it, so that nobody waits: with no
free slot elsewhere the offer stands and the session goes on here. The claim refuses all later writes of this
worker, so its last event is followed by the new owner's first.
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
from worker.session import WorkerSession

TICK_S: Final = 0.05
TASK_WAIT_S: Final = 0.25
"""How long Celery waits for a task at a time. One that comes while a worker stops, or hangs, ends in that wait."""
FIRST_OFFER_S: Final = 2 * TASK_WAIT_S
"""By then this worker waits for no task any more, so that it is not the one to get its own offer."""
NEXT_OFFER_S: Final = 3.0
"""An offer that nobody has taken is made again: its task may have been lost with another worker."""
SHORT_REPLAY_SAMPLES: Final = 2 * SAMPLE_RATE_HZ
"""A new owner hears the open segment again before it says anything new, so a session is offered when little of it
has been spoken: at its next pause, usually."""
LATEST_OFFER_S: Final = 10.0
"""Somebody who does not pause is handed over all the same."""

log = structlog.get_logger()


class Drain:
    """Hands over the sessions of one worker. Which were offered, and when, is known here only."""

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
        """Returns when no session is left, after the time-out, or when `hurry` is set."""
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
        """One round, so long after the drain has begun: offer the sessions that are due."""
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
        await self._dispatch(session.session_id, session.options, "stream")
        session.offered()
        self._offered_at_s[session] = now_s

    def _is_due(self, session: WorkerSession, elapsed_s: float, now_s: float) -> bool:
        offered_at_s = self._offered_at_s.get(session)
        if offered_at_s is not None:
            return now_s - offered_at_s >= NEXT_OFFER_S
        return session.replay_samples <= SHORT_REPLAY_SAMPLES or elapsed_s >= LATEST_OFFER_S
