"""Writes the events of all sessions, one pipeline per round, each session's part in one atomic script.

Events keep their `seq` when a write is repeated, so a lost reply doubles nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from shared.bus import keys
from shared.bus.scripts import FENCED, Scripts
from worker.session import WorkerSession

RETRY_PAUSE_S: Final = 0.25

log = structlog.get_logger()


class EventWriter:
    """`mark` a session that has something to say; `on_written` hears of each session whose outbox went out."""

    def __init__(
        self,
        redis: Redis,
        scripts: Scripts,
        on_written: Callable[[WorkerSession], None],
        on_fenced: Callable[[WorkerSession], None],
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._on_written = on_written
        self._on_fenced = on_fenced
        self._marked: dict[str, WorkerSession] = {}
        self._work = asyncio.Event()

    def mark(self, session: WorkerSession) -> None:
        self._marked[session.session_id] = session
        self._work.set()

    async def load_scripts(self) -> None:
        for script in (self._scripts.write, self._scripts.progress):
            await self._redis.script_load(script.script)

    async def run(self) -> None:
        """The loop; runs until cancelled. What Redis does not take stays marked."""
        while True:
            await self._work.wait()
            self._work.clear()
            batch, self._marked = self._marked, {}
            try:
                await self._write(list(batch.values()))
            except NoScriptError:  # Redis has restarted since the scripts were loaded
                self._marked = batch | self._marked
                await self._try_to_load()
            except (RedisError, OSError) as error:
                log.warning("event_write_delayed", sessions=len(batch), reason=str(error))
                self._marked = batch | self._marked
                self._work.set()
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _try_to_load(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self.load_scripts()
        self._work.set()

    async def _write(self, batch: list[WorkerSession]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        written = [len(session.outbox) for session in batch]
        told = [session.absorbed_samples if session.progress_due else None for session in batch]
        for session, consumed in zip(batch, told, strict=True):
            self._queue_events(pipe, session)
            if consumed is not None:
                self._queue_progress(pipe, session, consumed)
        replies = iter(await pipe.execute(raise_on_error=False))
        for session, count, consumed in zip(batch, written, told, strict=True):
            mine = [next(replies) for queued in (count, consumed) if queued]
            self._settle(session, count, consumed, mine)

    def _settle(self, session: WorkerSession, count: int, consumed: int | None, replies: list[Any]) -> None:
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        if FENCED in replies:
            self._on_fenced(session)
            return
        del session.outbox[:count]
        if consumed is not None:
            session.told_samples = consumed
        if session.outbox:
            self.mark(session)
        else:
            self._on_written(session)

    def _queue_events(self, pipe: Any, session: WorkerSession) -> None:
        if not session.outbox:
            return
        sid = session.session_id
        checkpoint = session.checkpoint_samples if any(kind == "f" for kind, _ in session.outbox) else ""
        script_keys = (keys.session(sid), keys.events(sid), keys.finals(sid), keys.audio(sid))
        flat = [part for event in session.outbox for part in event]
        pipe.execute_command(
            "EVALSHA",
            self._scripts.write.sha,
            len(script_keys),
            *script_keys,
            session.claim.fence,
            keys.channel(sid),
            keys.EVENT_LOG_MAX,
            session.first_unwritten_seq,
            checkpoint,
            session.segment,
            *flat,
        )

    def _queue_progress(self, pipe: Any, session: WorkerSession, consumed: int) -> None:
        sid = session.session_id
        pipe.execute_command(
            "EVALSHA",
            self._scripts.progress.sha,
            2,
            keys.session(sid),
            keys.audio(sid),
            session.claim.fence,
            keys.channel(sid),
            consumed,
            session.checkpoint_samples,
        )
