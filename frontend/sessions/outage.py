"""Detects that Redis is unreachable, or rejects writes, and informs clients of live sessions: a warning, then an error.

Meanwhile audio is still accepted up to each session's limit, and sessions continue when Redis is available again.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.sessions.admission import RETRY_AFTER_S
from frontend.sessions.recovery import Recovery
from frontend.sessions.session import Session
from shared.bus.audio import AudioWriter
from shared.errors import ModelUnavailableError

INTERVAL_S: Final = 0.5
ANSWER_S: Final = 1.0
"""Redis must answer a ping within this time, or it counts as unavailable."""
WARN_AFTER_S: Final = 3.0
GIVE_UP_AFTER_S: Final = 75.0
"""A restart of a minute is survived, with some margin. Keys of a live session last longer (`keys.SESSION_TTL_S`)."""
STORE_UNAVAILABLE: Final = "store_unavailable"
"""Code of the warning."""

log = structlog.get_logger(__name__)


class Outage:
    """Pings Redis for the sessions of one frontend. Records since when it is unavailable, and which clients were
    warned."""

    def __init__(
        self,
        redis: Redis,
        writer: AudioWriter,
        sessions: dict[str, Session],
        recovery: Recovery,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._writer = writer
        self._sessions = sessions
        self._recovery = recovery
        self._clock = clock
        self._since_s: float | None = None
        self._warned: set[Session] = set()

    async def run(self) -> None:
        """The loop; runs until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.check()

    async def check(self) -> None:
        """One round: ping Redis, and inform the clients of live sessions of a change."""
        trouble = self._writer.trouble or await self._ping()
        if trouble is None:
            self._recovered()
        else:
            self._report(trouble)

    async def _ping(self) -> str | None:
        """Why Redis cannot be used; None if it can."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._redis.ping()
        except (RedisError, OSError) as error:
            return str(error) or f"no answer within {ANSWER_S:g} s"
        return None

    def _recovered(self) -> None:
        if self._since_s is not None:
            log.info("redis_recovered", after_s=round(self._clock() - self._since_s, 1))
        self._since_s = None
        self._warned.clear()

    def _report(self, trouble: str) -> None:
        now_s = self._clock()
        if self._since_s is None:
            self._since_s = now_s
            log.warning("store_unavailable", reason=trouble, sessions=len(self._sessions))
        self._recovery.forget_losses()
        lasted_s = now_s - self._since_s
        if lasted_s >= GIVE_UP_AFTER_S:
            for session in list(self._sessions.values()):
                self._give_up(session)
        elif lasted_s >= WARN_AFTER_S:
            for session in self._sessions.values():
                self._warn(session)

    def _warn(self, session: Session) -> None:
        if session not in self._warned:
            self._warned.add(session)
            message = "The service cannot reach its store now; audio is kept, and transcribed when the store recovers."
            session.warn(STORE_UNAVAILABLE, message)

    @staticmethod
    def _give_up(session: Session) -> None:
        message = f"The service has not reached its store for {GIVE_UP_AFTER_S:g} s."
        session.fail_with(ModelUnavailableError(message, retry_after_s=RETRY_AFTER_S))
