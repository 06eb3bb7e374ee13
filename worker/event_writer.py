"""Writes the pending events of all sessions: one pipeline per round, and one atomic script for each session.

Events keep their `seq` when a write is repeated, so a lost reply duplicates nothing. The last event of a session, its
end and the release of its slot are one write, so no other write can come between them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import structlog
from redis.exceptions import RedisError, ResponseError

from shared.bus import keys
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.messages import EventKind
from shared.bus.ownership import Ending, Settled, write
from shared.bus.scripts import Call
from shared.bus.states import SessionState
from worker.commitment import StoredText
from worker.session import WorkerSession

RETRY_PAUSE_S: Final = 0.25

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SessionWrite:
    """One write of a session: everything that is pending now."""

    session: WorkerSession
    events: list[tuple[str, bytes]]
    settled: Settled | None
    committed: StoredText | None
    """The committed text of the open segment, if Redis does not have it."""
    consumed_samples: int | None
    ending: SessionState | None
    speakers: bytes | None = None
    """What is known of the speakers, if Redis does not have it."""

    @classmethod
    def of(cls, session: WorkerSession) -> Self:
        consumed = session.absorbed_samples if session.progress_due else None
        events = list(session.outbox)
        settles = consumed is not None or any(kind == EventKind.FINAL for kind, _ in events)
        settled = session.settled() if settles else None
        committed = session.unwritten_commitment
        return cls(session, events, settled, committed, consumed, session.ending, session.unwritten_speakers)

    def is_nothing(self) -> bool:
        return not self.events and self.consumed_samples is None and self.ending is None and self.speakers is None

    def call(self, retention_s: float) -> Call:
        """Keys and arguments of the script, which may be repeated without harm."""
        kept_s = keys.CANCELLED_TTL_S if self.ending is SessionState.CANCELLED else int(retention_s)
        return write(
            self.session.claim.owner,
            self.session.first_unwritten_seq,
            self.events,
            settled=self.settled,
            committed=None if self.committed is None else self.committed.encoded(),
            consumed_samples=self.consumed_samples,
            ending=None if self.ending is None else Ending(self.ending, kept_s),
            speakers=self.speakers,
        )

    def confirm(self) -> None:
        """Record that Redis has it."""
        self.session.written(len(self.events), self.settled, self.committed, self.consumed_samples, self.speakers)


class EventWriter:
    """Call `mark` for a session that has something to write.

    `on_ended` is called for each session whose end has been written, `on_fenced` for each that another worker now owns,
    and `on_written` for each session of which finals were written, with their number.
    """

    def __init__(
        self,
        scripts: Scripts,
        retention_s: float,
        on_ended: Callable[[WorkerSession], None],
        on_fenced: Callable[[WorkerSession], None],
        on_written: Callable[[WorkerSession, int], None] = lambda _session, _finals: None,
    ) -> None:
        self._scripts = scripts
        self._retention_s = retention_s
        self._on_ended = on_ended
        self._on_fenced = on_fenced
        self._on_written = on_written
        self._marked: dict[str, WorkerSession] = {}
        self._work = asyncio.Event()

    def mark(self, session: WorkerSession) -> None:
        self._marked[session.session_id] = session
        self._work.set()

    async def run(self) -> None:
        """The loop; runs until cancelled. Sessions whose write Redis does not accept stay marked."""
        while True:
            await self._work.wait()
            self._work.clear()
            batch, self._marked = self._marked, {}
            try:
                await self._write(list(batch.values()))
            except (RedisError, OSError) as error:
                log.warning("event_write_delayed", sessions=len(batch), reason=str(error))
                self._marked = batch | self._marked
                self._work.set()
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _write(self, batch: list[WorkerSession]) -> None:
        said = [one for one in map(SessionWrite.of, batch) if not one.is_nothing()]
        replies = await self._scripts.write.many([one.call(self._retention_s) for one in said])
        for one, reply in zip(said, replies, strict=True):
            if isinstance(reply, ResponseError):
                raise reply
            if reply == FENCED:
                self._on_fenced(one.session)
            else:
                self._settle(one)

    def _settle(self, said: SessionWrite) -> None:
        said.confirm()
        session = said.session
        if finals := sum(kind == EventKind.FINAL for kind, _ in said.events):
            self._on_written(session, finals)
        if said.ending is not None:
            self._on_ended(session)
        elif session.outbox or session.ending is not None:
            self.mark(session)
