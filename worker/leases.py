"""Renews the leases of a worker's sessions, and ends sessions whose clients are silent or gone for too long."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.ownership import Kept, keep, renew
from shared.bus.scripts import answers
from shared.config import SessionSettings
from shared.errors import IdleTimeoutError
from worker.event_writer import EventWriter
from worker.session import WorkerSession
from worker.telemetry import Telemetry

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
        telemetry: Telemetry,
        writer: EventWriter,
        on_fenced: Callable[[WorkerSession], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scripts = scripts
        self._limits = limits
        self._sessions = sessions
        self._telemetry = telemetry
        self._writer = writer
        self._on_fenced = on_fenced
        self._clock = clock
        self._renewals: dict[WorkerSession, _Renewal] = {}
        self._redis_was_lost = False

    async def run(self) -> None:
        """The loop; runs until cancelled. It waits while Redis is unavailable."""
        while True:
            await self.check()
            await asyncio.sleep(TICK_S)

    async def check(self) -> None:
        """One round: renew the leases that are due, then end idle sessions."""
        now_s = self._clock()
        sessions = list(self._sessions.values())
        self._renewals = {one: self._renewals[one] for one in sessions if one in self._renewals}
        try:
            await self._renew([one for one in sessions if self._is_due(one, now_s)], now_s)
        except (RedisError, OSError) as error:
            log.warning("lease_renewal_delayed", reason=str(error))
            self._redis_was_lost = True
            return
        if self._redis_was_lost:
            self._reset_idle_times()
        self._redis_was_lost = False
        self._end_idle(now_s)

    def _is_due(self, session: WorkerSession, now_s: float) -> bool:
        """A client that connected or disconnected is reported at once: another session may wait for the slot."""
        last = self._renewals.get(session)
        return last is None or last.due_at_s <= now_s or last.was_detached != session.is_detached

    async def _renew(self, due: list[WorkerSession], now_s: float) -> None:
        detached = [one.is_detached for one in due]
        gone_s = [one.awaited_for_s(now_s) for one in due]
        replies = answers(await self._scripts.renew.many([renew(one.claim.owner) for one in due]))
        kept = []
        for session, its_gone_s, reply in zip(due, gone_s, replies, strict=True):
            if reply == FENCED:
                self._on_fenced(session)
            elif reply and session.ending is None:  # otherwise the writer is about to free its slots
                kept.append(Kept(session.session_id, its_gone_s, session.slots))
        if kept:
            names, arguments = keep(due[0].claim.owner.model, kept)
            await self._scripts.keep(keys=names, args=arguments)
        for session, was_detached in zip(due, detached, strict=True):
            self._renewals[session] = _Renewal(now_s + keys.RENEW_INTERVAL_S, was_detached)

    def _reset_idle_times(self) -> None:
        """Restart idle times, since no client could be received while Redis was unavailable."""
        now_s = self._clock()
        for session in self._sessions.values():
            session.reset_idle_times(now_s)

    def _end_idle(self, now_s: float) -> None:
        for session in list(self._sessions.values()):
            exceeded_s = session.exceeded_s(
                now_s,
                idle_timeout_s=self._limits.idle_timeout_s,
                resume_timeout_s=self._limits.resume_timeout_s,
            )
            if exceeded_s is not None:
                session.fail(IdleTimeoutError(exceeded_s))
                self._telemetry.errors[IdleTimeoutError.code] += 1
                self._writer.mark(session)
