"""When a worker's events are written, and what happens to them if Redis fails, restarts or has another owner."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from shared.bus import keys
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.ownership import write
from shared.errors import IdleTimeoutError
from tests.unit.redis_in_memory import answered
from tests.unit.worker.claimed_sessions import ScriptCalls, claimed
from worker import event_writer
from worker.engines.base import Final, SpeechStarted
from worker.event_writer import EventWriter, RecentWrites
from worker.session import WorkerSession

FIRST_SEQ, KEPT, EVENTS = 4, 11, 15
"""Places among the arguments of `write`: the number of the first event, how long they are kept, and the first event."""


class Worker:
    def __init__(self) -> None:
        self.redis = ScriptCalls()
        self.ended: list[str] = []
        self.fenced: list[str] = []
        self.left = asyncio.Event()
        """Set when a session has ended or belongs to another owner."""
        self.writer = EventWriter(
            Scripts(answered(self.redis)), retention_s=1.0, on_ended=self._on_ended, on_fenced=self._on_fenced
        )

    def say(self, session: WorkerSession) -> None:
        session.take(SpeechStarted(0), 0, 0)
        self.writer.mark(session)

    def end(self, session: WorkerSession) -> None:
        session.fail(IdleTimeoutError(1))
        self.writer.mark(session)

    async def until_left(self, session_id: str = "s1") -> None:
        async with asyncio.timeout(10):
            while session_id not in self.ended + self.fenced:
                self.left.clear()
                await self.left.wait()

    def written(self, session_id: str) -> list[tuple[int, int]]:
        """Number of the first event, and how many, of each write of a session."""
        return [
            (int(arguments[FIRST_SEQ]), len(arguments[EVENTS:]) // 2)
            for named, arguments in self.redis.calls
            if named == session_id
        ]

    def _on_ended(self, session: WorkerSession) -> None:
        self.ended.append(session.session_id)
        self.left.set()

    def _on_fenced(self, session: WorkerSession) -> None:
        self.fenced.append(session.session_id)
        self.left.set()


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    monkeypatch.setattr(event_writer, "RETRY_PAUSE_S", 0.0)
    worker = Worker()
    loop = asyncio.create_task(worker.writer.run())
    yield worker
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_all_that_a_session_has_to_say_is_one_write(worker: Worker) -> None:
    session = claimed()
    worker.say(session)
    worker.end(session)
    await worker.until_left()
    assert worker.written("s1") == [(1, 3)]
    assert (worker.ended, session.outbox) == (["s1"], [])
    assert worker.redis.released == ["s1"]


async def test_session_ends_without_the_shard_that_has_its_slot(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slot expires. Other sessions must not wait for a shard that is not theirs."""
    monkeypatch.setattr(event_writer, "RELEASE_S", 0.01)
    worker.redis.release_hangs = True
    worker.end(claimed())
    await worker.until_left()
    assert (worker.ended, worker.redis.released) == (["s1"], ["s1"])


async def test_recent_writes_are_kept_until_later_ones_are_confirmed() -> None:
    """A failover may take longer than they are kept."""
    redis = ScriptCalls()
    scripts, recent = Scripts(answered(redis)), RecentWrites()
    owner = claimed().claim.owner
    for now_s, calls in [(0.0, [write(owner, 1)]), (60.0, [])]:
        recent.add(scripts.write, calls, now_s)
    await recent.repeat(scripts.redis.connection_pool.make_connection())
    assert redis.sessions == ["s1"]
    recent.add(scripts.write, [write(owner, 2)], 61.0)
    redis.calls.clear()
    await recent.repeat(scripts.redis.connection_pool.make_connection())
    assert worker_seqs(redis) == [2]


def worker_seqs(redis: ScriptCalls) -> list[int]:
    return [int(arguments[FIRST_SEQ]) for _, arguments in redis.calls]


async def test_sessions_are_written_together(worker: Worker) -> None:
    for session_id in ("s1", "s2"):
        worker.end(claimed(session_id))
    await worker.until_left("s2")
    assert worker.ended == ["s1", "s2"]


async def test_session_with_nothing_to_say_is_not_written(worker: Worker) -> None:
    quiet, other = claimed("quiet"), claimed("other")
    quiet.outbox.clear()
    worker.writer.mark(quiet)
    worker.end(other)
    await worker.until_left("other")
    assert worker.redis.sessions == ["other"]


async def test_events_are_written_again_with_the_same_numbers_until_redis_is_back(worker: Worker) -> None:
    session = claimed()
    worker.redis.fault = RedisConnectionError("gone")
    worker.say(session)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(session.outbox) == 2, "what Redis has not confirmed is kept"
    worker.redis.fault = None
    async with asyncio.timeout(10):
        while session.outbox:  # noqa: ASYNC110 -- a turn of the loop costs nothing
            await asyncio.sleep(0)
    assert worker.written("s1") == [(1, 2)]


async def test_redis_that_has_restarted_gets_the_script_again(worker: Worker) -> None:
    worker.redis.is_loaded = False
    worker.end(claimed())
    await worker.until_left()
    assert worker.written("s1") == [(1, 2)]


async def test_session_of_another_owner_is_dropped(worker: Worker) -> None:
    worker.redis.replies["s1"] = FENCED
    session = claimed()
    worker.say(session)
    await worker.until_left()
    assert (worker.fenced, worker.ended) == (["s1"], [])
    assert len(session.outbox) == 2


async def test_former_owner_that_ends_a_session_frees_no_slot(worker: Worker) -> None:
    worker.redis.replies["s1"] = FENCED
    worker.end(claimed())
    await worker.until_left()
    assert (worker.fenced, worker.redis.released) == (["s1"], [])


async def test_replicas_must_have_finals_and_ends() -> None:
    session = claimed()
    assert not session.pending().is_lasting
    session.take(Final(0, "Hello.", 0, 1600, 1600, 1600, (), "en", 5.0), 0, 0)
    assert session.pending().is_lasting
    failed = claimed()
    failed.fail(IdleTimeoutError(1))
    assert failed.pending().is_lasting


async def test_cancelled_session_is_kept_for_seconds() -> None:
    cancelled, failed = claimed(), claimed()
    cancelled.cancel()
    failed.fail(IdleTimeoutError(1))
    kept_s = [one.pending().call(3600)[1][KEPT] for one in (cancelled, failed)]
    assert kept_s == [keys.CANCELLED_TTL_S, 3600]


async def test_refused_write_is_repeated_and_holds_up_no_other(worker: Worker) -> None:
    first, second = claimed("s1"), claimed("s2")
    worker.redis.replies["s2"] = ResponseError("OOM command not allowed")
    worker.end(first)
    worker.say(second)
    await worker.until_left()
    assert (worker.ended[0], len(second.outbox)) == ("s1", 2)
    del worker.redis.replies["s2"]
    worker.end(second)
    await worker.until_left("s2")
    assert worker.ended[-1] == "s2"
    assert (worker.written("s2"), first.outbox, second.outbox) == ([(1, 3)], [], [])
