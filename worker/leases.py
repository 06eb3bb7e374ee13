"""Renews the leases of a worker's sessions, and ends sessions whose clients are silent or gone for too long."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.cluster import Shard
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.ownership import Kept, keep, renew
from shared.bus.scripts import answers
from shared.bus.sharded import held_at, on_each_shard, place_at, place_of
from shared.config.sections import SessionSettings
from shared.errors import IdleTimeoutError
from worker.event_writer import EventWriter, session_key
from worker.session import WorkerSession

TICK_S: Final = 0.1
"""Leases are renewed a few at a time: all at once would delay the events of hundreds of sessions."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Renewal:
    """The state of a lease in Redis."""

    due_at_s: float
    """When it must be renewed, by the clock of the leases."""
    was_detached: bool
    """Whether the session's client was gone at the last renewal."""


class Leases:
    """The leases of one worker. Only this class knows when each is due."""

    def __init__(
        self,
        *,
        scripts: Scripts,
        limits: SessionSettings,
        sessions: dict[str, WorkerSession],
        writer: EventWriter,
        on_fenced: Callable[[WorkerSession], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scripts = scripts
        self._limits = limits
        self._sessions = sessions
        self._writer = writer
        self._on_fenced = on_fenced
        self._clock = clock
        self._renewals: dict[WorkerSession, _Renewal] = {}
        self._lost: set[Shard | None] = set()
        """Shards of Redis that could not be reached."""
        self._kept: dict[WorkerSession, float | None] = {}
        """Sessions whose slots must be renewed, and how long their clients have been gone."""
        self._renewed = asyncio.Event()

    async def run(self) -> None:
        """The loops, one for each shard of Redis and one for the slots; runs until cancelled. A loop waits while Redis
        is unavailable, and the others go on."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(on_each_shard(self._scripts.redis, self._run))
            loops.create_task(self._run_slots())
            loops.create_task(self._run_idle())

    async def _run(self, shard: Redis) -> None:
        while True:
            await self._renew_at(place_of(shard))
            await asyncio.sleep(TICK_S)

    async def _run_slots(self) -> None:
        while True:
            await self._renewed.wait()
            await self._keep()
            await asyncio.sleep(TICK_S)

    async def _run_idle(self) -> None:
        while True:
            self._end_idle()
            await asyncio.sleep(TICK_S)

    async def check(self) -> None:
        """One round: renew the leases that are due with their slots, then end idle sessions."""
        await self._renew_at(None)
        await self._keep()
        self._end_idle()

    async def _renew_at(self, place: Shard | None) -> None:
        """Renew the leases that are due at a shard."""
        now_s = self._clock()
        self._renewals = {one: at for one, at in self._renewals.items() if self._sessions.get(one.session_id) is one}
        due = [one for one in self._sessions.values() if self._is_due(one, now_s)]
        try:
            await self._renew(held_at(self._scripts.redis, place, due, session_key), now_s)
        except (RedisError, OSError) as error:
            log.warning("lease_renewal_delayed", reason=str(error))
            self._lost.add(place)
            return
        if place in self._lost:
            self._lost.discard(place)
            for session in held_at(self._scripts.redis, place, self._sessions.values(), session_key):
                session.reset_idle_times(self._clock())  # no client could be received meanwhile

    def _is_due(self, session: WorkerSession, now_s: float) -> bool:
        """A client that connected or disconnected is reported at once: another session may wait for the slot."""
        last = self._renewals.get(session)
        return last is None or last.due_at_s <= now_s or last.was_detached != session.is_detached

    async def _renew(self, due: list[WorkerSession], now_s: float) -> None:
        detached = [one.is_detached for one in due]
        gone_s = [one.awaited_for_s(now_s) for one in due]
        replies = answers(await self._scripts.renew.many([renew(one.claim.owner) for one in due]))
        for session, its_gone_s, reply in zip(due, gone_s, replies, strict=True):
            if reply == FENCED:
                self._on_fenced(session)
            elif reply:
                self._kept[session] = its_gone_s
                self._renewed.set()
        for session, was_detached in zip(due, detached, strict=True):
            self._renewals[session] = _Renewal(now_s + keys.RENEW_INTERVAL_S, was_detached)

    async def _keep(self) -> None:
        """Renew the slots of sessions whose leases have been renewed."""
        self._renewed.clear()
        renewed, self._kept = self._kept, {}
        # A session that has an ending is about to give its slots back.
        sessions = [one for one in renewed if one.ending is None and self._sessions.get(one.session_id) is one]
        if not sessions:
            return
        kept = [Kept(one.session_id, renewed[one], one.slots) for one in sessions]
        names, arguments = keep(sessions[0].claim.owner.model, kept)
        try:
            await self._scripts.keep(keys=names, args=arguments)
        except (RedisError, OSError) as error:
            log.warning("slot_renewal_delayed", reason=str(error))
            self._kept = renewed | self._kept
            self._renewed.set()

    def _end_idle(self) -> None:
        """Sessions of a shard that cannot be reached are not idle: no client could be received."""
        now_s = self._clock()
        for session in list(self._sessions.values()):
            if self._lost and place_at(self._scripts.redis, session_key(session)) in self._lost:
                continue
            exceeded_s = session.exceeded_s(
                now_s,
                idle_timeout_s=self._limits.idle_timeout_s,
                resume_timeout_s=self._limits.resume_timeout_s,
            )
            if exceeded_s is not None:
                session.fail(IdleTimeoutError(exceeded_s))
                self._writer.mark(session)
