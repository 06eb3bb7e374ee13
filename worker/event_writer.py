"""Writes the pending events of all sessions: one pipeline per round, and one atomic script for each session.

Events keep their `seq` when a write is repeated, so a lost reply duplicates nothing. The last event of a session, its
end and the release of its slot are one write, so no other write can come between them.

On each new connection the most recent writes are repeated first (`RecentWrites`): a Redis that has failed over, or that
was killed, may have lost writes that it had confirmed, and the log must have no gap.
"""

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from shared.bus import keys
from shared.bus.cluster import Shard
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.ownership import renew
from shared.bus.recent import KEPT_S
from shared.bus.scripts import Call, Script
from shared.bus.sharded import client_at, held_at, on_each_shard, place_at, place_of
from worker.pending import Pending
from worker.session import WorkerSession

RETRY_PAUSE_S: Final = 0.25
MOVED_S: Final = 1.0
RELEASE_S: Final = 0.5

log = structlog.get_logger()


def session_key(session: WorkerSession) -> str:
    """The key that says which shard has the session."""
    return keys.session(session.session_id)


class RecentWrites:
    """The writes of the last `KEPT_S` seconds of all sessions, in order. Its `repeat` is the `greet` of the client that
    writes them. Times are of one monotonic clock, in seconds.

    Writes of a shard are kept until later ones to it are confirmed, however long it fails over.
    """

    def __init__(self) -> None:
        self._kept: defaultdict[Shard | None, deque[tuple[float, Call]]] = defaultdict(deque)
        self._script: Script | None = None

    def add(self, script: Script, calls: Sequence[Call], now_s: float) -> None:
        """Record writes of one shard that Redis has just confirmed."""
        if not calls:
            return
        self._script = script
        kept = self._kept[place_at(script.redis, calls[0][0][0])]
        kept.extend((now_s, call) for call in calls)
        while kept[0][0] < now_s - KEPT_S:
            kept.popleft()

    async def repeat(self, connection: AbstractConnection) -> None:
        """Repeat those of a shard on a new connection to it. Raises Redis' errors; it is then not used."""
        await connection.on_connect()
        if self._script is not None:
            redis, calls = self._script.redis, [call for kept in self._kept.values() for _, call in kept]
            place = place_of(client_at(redis, connection))
            await self._script.on_connection(connection, held_at(redis, place, calls, lambda call: call[0][0]))


class EventWriter:
    """Call `mark` for a session that has something to write.

    `on_ended` is called for each session whose end has been written, `on_fenced` for each that another worker now owns,
    and `on_written` for each session of which finals were written, with their number. `recent` is that of the client of
    `scripts`, which has no other user.
    """

    def __init__(
        self,
        scripts: Scripts,
        retention_s: float,
        on_ended: Callable[[WorkerSession], None],
        on_fenced: Callable[[WorkerSession], None],
        on_written: Callable[[WorkerSession, int], None] = lambda _session, _finals: None,
        *,
        recent: RecentWrites | None = None,
    ) -> None:
        self._scripts = scripts
        self._retention_s = retention_s
        self._on_ended = on_ended
        self._on_fenced = on_fenced
        self._on_written = on_written
        self._recent = recent or RecentWrites()
        self._marked: dict[str, WorkerSession] = {}
        self._work: dict[Shard | None, asyncio.Event] = defaultdict(asyncio.Event)
        """Set if sessions of a shard are marked."""

    def mark(self, session: WorkerSession) -> None:
        self._marked[session.session_id] = session
        self._work[place_at(self._scripts.redis, session_key(session))].set()

    async def run(self) -> None:
        """The loops, one for each shard of Redis; runs until cancelled. Sessions whose write Redis does not accept stay
        marked, and delay only those of their shard."""
        await on_each_shard(self._scripts.redis, self._run)

    async def _run(self, shard: Redis) -> None:
        place = place_of(shard)
        work = self._work[place]
        while True:
            with contextlib.suppress(TimeoutError):  # a session may have moved here since it was marked
                async with asyncio.timeout(MOVED_S):
                    await work.wait()
            work.clear()
            batch = held_at(self._scripts.redis, place, self._marked.values(), session_key)
            for session in batch:
                del self._marked[session.session_id]
            try:
                await self._write(batch)
            except (RedisError, OSError) as error:
                log.warning("event_write_delayed", sessions=len(batch), reason=str(error))
                self._marked = {one.session_id: one for one in batch} | self._marked
                work.set()
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _write(self, batch: list[WorkerSession]) -> None:
        writes = [(session, pending) for session in batch if not (pending := session.pending()).is_nothing]
        ending = [(session, pending) for session, pending in writes if pending.ending is not None]
        refused = await self._send([(session, pending) for session, pending in writes if pending.ending is None])
        if ending:
            await self._release([pending for _, pending in ending])
            refused += await self._send(ending)
        if refused:
            raise refused[0]

    async def _send(self, writes: list[tuple[WorkerSession, Pending]]) -> list[ResponseError]:
        """Send them in one round trip. Returns the errors with which Redis has refused some. Raises others."""
        calls = [pending.call(self._retention_s) for _, pending in writes]
        lasting = any(pending.is_lasting for _, pending in writes)
        replies = await self._scripts.write.many(calls, confirm=lasting)
        for (session, pending), reply in zip(writes, replies, strict=True):
            if isinstance(reply, ResponseError):
                continue
            if reply == FENCED:
                self._on_fenced(session)
            else:
                self._confirm(session, pending)
        self._recent.add(self._scripts.write, calls, time.monotonic())
        return [reply for reply in replies if isinstance(reply, ResponseError)]

    async def _release(self, ending: list[Pending]) -> None:
        """Free the slots of sessions whose end is written next; see `shared.bus.moves`. If the shard that has the slots
        does not do it in time, they expire: sessions of other shards do not wait for it."""
        held = await self._scripts.renew.many([renew(one.owner) for one in ending])
        owned = [one for one, answer in zip(ending, held, strict=True) if answer in (0, 1)]
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._scripts.release.many([one.release(self._retention_s) for one in owned])
        except (RedisError, OSError) as error:  # a TimeoutError as well
            log.warning("slots_not_released", sessions=len(owned), reason=str(error) or "no answer in time")

    def _confirm(self, session: WorkerSession, pending: Pending) -> None:
        session.confirm(pending)
        if pending.finals:
            self._on_written(session, pending.finals)
        if pending.ending is not None:
            self._on_ended(session)
        elif session.outbox or session.ending is not None:
            self.mark(session)
