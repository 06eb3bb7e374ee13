"""Detects that Redis is unreachable, or rejects writes, and informs clients of live sessions: a warning, then an error.

Meanwhile audio is still accepted up to each session's limit, and sessions continue when Redis is available again.
Each shard of a Redis Cluster concerns only its own sessions.
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
from shared.bus import keys
from shared.bus.audio import AudioWriter
from shared.bus.cluster import Shard
from shared.bus.sharded import held_at, place_of, shards_of
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
        self._since_s: dict[Shard | None, float] = {}
        """Since when each shard of Redis has been unavailable."""
        self._warned: set[Session] = set()
        """Those of the sessions that this frontend still holds."""

    async def run(self) -> None:
        """The loop; runs until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.check()

    async def check(self) -> None:
        """One round: ping Redis, and inform the clients of live sessions of a change."""
        self._warned.intersection_update(self._sessions.values())
        shards = shards_of(self._redis) or [self._redis]
        pings = await asyncio.gather(*map(self._ping, shards))
        for place, ping in zip(map(place_of, shards), pings, strict=True):
            trouble = self._writer.troubles.get(place) or ping
            if trouble is None:
                self._recovered(place)
            else:
                self._report(place, trouble)

    @staticmethod
    async def _ping(shard: Redis) -> str | None:
        """Why it cannot be used; None if it can."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await shard.ping()
        except (RedisError, OSError) as error:
            return str(error) or f"no answer within {ANSWER_S:g} s"
        return None

    def _at(self, place: Shard | None) -> list[Session]:
        """The sessions of a shard; all of them if it is the only one, or if none is known."""
        if place is None:
            return list(self._sessions.values())
        return held_at(self._redis, place, self._sessions.values(), lambda one: keys.session(one.id))

    def _recovered(self, place: Shard | None) -> None:
        since_s = self._since_s.pop(place, None)
        if since_s is not None:
            log.info("redis_recovered", after_s=round(self._clock() - since_s, 1))
            self._warned.difference_update(self._at(place))

    def _report(self, place: Shard | None, trouble: str) -> None:
        now_s, sessions = self._clock(), self._at(place)
        if place not in self._since_s:
            self._since_s[place] = now_s
            log.warning("store_unavailable", reason=trouble, sessions=len(sessions))
        self._recovery.forget_losses(sessions)
        lasted_s = now_s - self._since_s[place]
        if lasted_s >= GIVE_UP_AFTER_S:
            for session in sessions:
                self._give_up(session)
        elif lasted_s >= WARN_AFTER_S:
            for session in sessions:
                self._warn(session)

    def _warn(self, session: Session) -> None:
        if session not in self._warned:
            self._warned.add(session)
            message = "The service cannot reach its store now; audio is kept, and transcribed when the store recovers."
            session.warn(STORE_UNAVAILABLE, message)

    @staticmethod
    def _give_up(session: Session) -> None:
        message = f"The service has not reached its store for {GIVE_UP_AFTER_S:g} s."
        session.fail(ModelUnavailableError(message, retry_after_s=RETRY_AFTER_S))
