"""Recovers sessions that have gone quiet: their owner may have died, or a message may have been lost.

A session whose lease has expired is dispatched again; another worker continues it from its checkpoint. The same is done
with a new session that no worker claims: a worker may have died, or may hang, with its task. A session is given up if
no worker continues it in time; one that is just starting is waited for, since it may replace the only worker.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.event_log import QUIET_S
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import StartReport
from shared.bus.scripts import answers
from shared.bus.sharded import held_at, on_each_shard, place_of
from shared.bus.states import OWNED, SessionState, decoded
from shared.dispatch import Dispatch
from shared.errors import ModelUnavailableError, SessionExpiredError

INTERVAL_S: Final = 0.5
START_S: Final = 60.0
"""How long the sessions of a dead worker wait for a worker that loads a model."""
EXPIRED: Final = "The session has expired, as after the machine was suspended or its clock was set; start a new one."
"""Redis deletes keys that have not been renewed for `keys.SESSION_TTL_S` by its wall clock."""

log = structlog.get_logger()

T = TypeVar("T")
Starting = Callable[[], Awaitable[Sequence[StartReport]]]
"""The workers whose model is not warm yet. They report what they load: a repository, or a second model, too."""


@dataclass(slots=True)
class _Loss:
    """A session without an owner. Times are of the recovery's clock."""

    since_s: float
    dispatched_at_s: float


class Recovery:
    """Watches the sessions of one frontend. Keeps its own records; sessions know nothing of it."""

    def __init__(
        self,
        redis: Redis,
        sessions: dict[str, Session],
        dispatch: Dispatch,
        give_up_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        starting: Starting,
    ) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._sessions = sessions
        self._dispatch = dispatch
        self._give_up_s = give_up_s
        self._clock = clock
        self._starting = starting
        self._started_s: dict[Session, float] = {}
        """When the first task of a new session was dispatched."""
        self._losses: dict[Session, _Loss] = {}
        self._starting_s = -inf
        """When a starting worker was last seen; it takes sessions over shortly after it has loaded its model."""

    @property
    def orphaned(self) -> int:
        """Sessions without a worker, as of the last rounds."""
        return len(self._losses)

    async def run(self) -> None:
        """The loops, one for each shard of Redis; runs until cancelled. Waits while Redis is not available."""
        await on_each_shard(self._redis, self._run)

    async def _run(self, shard: Redis) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.check(shard)

    def dispatched(self, session: Session) -> None:
        """The task of a new session has been dispatched: from now on the session is recovered too."""
        self._started_s[session] = self._clock()

    def forget_losses(self, sessions: Iterable[Session]) -> None:
        """Redis was unavailable, so no worker could renew their leases: a session counts as lost only if it is seen so
        again."""
        for session in sessions:
            self._losses.pop(session, None)

    async def check(self, shard: Redis | None = None) -> None:
        """One round: look up the sessions of a shard that are quiet, or all, and recover those that have no owner."""
        now_s = self._clock()
        self._losses = self._held(self._losses)
        self._started_s = self._held(self._started_s)
        quiet = []
        for session in self._at(shard):
            started_s = self._started_s.get(session)
            if session.is_quiet(QUIET_S) and (started_s is None or now_s - started_s > QUIET_S):
                quiet.append(session)
            else:
                self._losses.pop(session, None)
        if quiet:
            try:
                await self._look_for_starting(now_s)
                await self._look_up(quiet)
            except (RedisError, OSError) as error:
                log.warning("recovery_delayed", reason=str(error))

    def _at(self, shard: Redis | None) -> list[Session]:
        if shard is None:
            return list(self._sessions.values())
        return held_at(self._redis, place_of(shard), self._sessions.values(), lambda one: keys.session(one.id))

    async def _look_for_starting(self, now_s: float) -> None:
        late = any(now_s - loss.since_s > self._give_up_s for loss in self._losses.values())
        if late and await self._starting():
            self._starting_s = now_s

    async def _look_up(self, quiet: list[Session]) -> None:
        found = answers(await self._scripts.look.many([([keys.session(session.id)], ()) for session in quiet]))
        for session, (held_state, lapsed, consumed, seq) in zip(quiet, found, strict=True):
            state = decoded(held_state)
            if consumed is not None:
                session.progress(int(consumed))
            if seq is not None and int(seq) > session.seq:
                session.fill()
            if state == SessionState.WAITING and session not in self._started_s:
                continue  # it is still in the queue of starting sessions
            if state == SessionState.WAITING or (state in OWNED and lapsed):
                await self._recover(session)
            elif state in OWNED:
                self._losses.pop(session, None)
            elif state is None:
                session.fail(SessionExpiredError(EXPIRED))

    async def _recover(self, session: Session) -> None:
        now_s = self._clock()
        loss = self._losses.get(session)
        if loss is None:
            loss = self._losses[session] = _Loss(now_s, now_s)
            log.warning("session_orphaned", session_id=session.id)
        elif not self._can_wait(now_s, now_s - loss.since_s):
            session.fail(ModelUnavailableError(f"No worker took the session over within {now_s - loss.since_s:.0f} s."))
            return
        elif now_s - loss.dispatched_at_s < keys.LEASE_S:
            return
        loss.dispatched_at_s = now_s
        await self._dispatch(session.id, session.options, session.queue, session.key_name)

    def _can_wait(self, now_s: float, lost_s: float) -> bool:
        if lost_s <= self._give_up_s:
            return True
        return lost_s <= START_S and now_s - self._starting_s <= self._give_up_s

    def _held(self, by_session: dict[Session, T]) -> dict[Session, T]:
        """Without the sessions that this frontend no longer holds."""
        return {one: value for one, value in by_session.items() if self._sessions.get(one.id) is one}
