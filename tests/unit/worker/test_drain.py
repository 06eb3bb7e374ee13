"""When a stopping worker offers its sessions to others, on a virtual clock."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus.lua.sessions import FENCED, Scripts
from shared.celery_config import Queue
from shared.session_options import SessionOptions
from tests.unit.redis_in_memory import Clock, answered
from tests.unit.worker.claimed_sessions import ScriptCalls, claimed
from worker.drain import FIRST_OFFER_S, LATEST_OFFER_S, NEXT_OFFER_S, SHORT_REPLAY_SAMPLES, Drain
from worker.session import WorkerSession

TIMEOUT_S = 30.0


class Worker:
    def __init__(self) -> None:
        self.clock = Clock()
        self.begun_s = self.clock.now_s
        self.redis = ScriptCalls()
        self.sessions: dict[str, WorkerSession] = {}
        self.fenced: list[str] = []
        self.dispatched: list[str] = []
        self.drain = Drain(
            sessions=self.sessions,
            scripts=Scripts(answered(self.redis)),
            dispatch=self._dispatch,
            timeout_s=TIMEOUT_S,
            on_fenced=lambda session: self.fenced.append(session.session_id),
            clock=self.clock,
        )

    def hold(self, session_id: str, replay_samples: int = 0) -> WorkerSession:
        session = self.sessions[session_id] = claimed(session_id)
        session.arrived(replay_samples, 0.0, self.clock.now_s)
        session.advance(replay_samples, 0)
        return session

    async def pass_s(self, seconds: float) -> list[str]:
        """Time passes, then the drain checks. Returns whose tasks were dispatched."""
        self.clock.pass_s(seconds)
        self.dispatched.clear()
        await self.drain.check(self.clock.now_s - self.begun_s)
        return self.dispatched

    async def _dispatch(self, session_id: str, _options: SessionOptions, queue: Queue, _key_name: str) -> None:
        assert queue == "stream"
        self.dispatched.append(session_id)


@pytest.fixture
async def worker() -> Worker:
    return Worker()


async def test_session_is_offered_when_this_worker_waits_for_no_task_any_more(worker: Worker) -> None:
    session = worker.hold("s1")
    assert await worker.pass_s(FIRST_OFFER_S - 0.1) == []
    assert not session.was_offered
    assert await worker.pass_s(0.2) == ["s1"]
    assert session.was_offered
    assert worker.redis.sessions == ["s1"]


async def test_offer_that_nobody_takes_is_made_again(worker: Worker) -> None:
    worker.hold("s1")
    await worker.pass_s(FIRST_OFFER_S)
    assert await worker.pass_s(NEXT_OFFER_S - 0.1) == []
    assert await worker.pass_s(0.2) == ["s1"]


async def test_session_is_offered_at_its_next_pause(worker: Worker) -> None:
    session = worker.hold("s1", SHORT_REPLAY_SAMPLES + 1)
    assert await worker.pass_s(FIRST_OFFER_S) == []
    session.advance(SHORT_REPLAY_SAMPLES + 1, 1)
    assert await worker.pass_s(0.1) == ["s1"]


async def test_speaker_without_a_pause_is_handed_over_all_the_same(worker: Worker) -> None:
    worker.hold("s1", SHORT_REPLAY_SAMPLES + 1)
    assert await worker.pass_s(LATEST_OFFER_S - 0.1) == []
    assert await worker.pass_s(0.2) == ["s1"]


async def test_session_that_ends_is_not_offered(worker: Worker) -> None:
    worker.hold("s1").cancel()
    assert await worker.pass_s(LATEST_OFFER_S) == []


async def test_session_of_another_owner_is_dropped_and_not_dispatched(worker: Worker) -> None:
    session = worker.hold("s1")
    worker.redis.replies["s1"] = FENCED
    assert await worker.pass_s(FIRST_OFFER_S) == []
    assert worker.fenced == ["s1"]
    assert not session.was_offered


async def test_offer_that_redis_does_not_take_is_made_again_at_once(worker: Worker) -> None:
    worker.hold("s1")
    worker.redis.fault = RedisConnectionError("gone")
    assert await worker.pass_s(FIRST_OFFER_S) == []
    worker.redis.fault = None
    assert await worker.pass_s(0.05) == ["s1"]


async def test_drain_ends_with_its_last_session(worker: Worker) -> None:
    await worker.drain.run(asyncio.Event())


async def test_drain_ends_at_once_when_it_has_to_hurry(worker: Worker) -> None:
    worker.hold("s1")
    hurry = asyncio.Event()
    running = asyncio.create_task(worker.drain.run(hurry))
    hurry.set()
    async with asyncio.timeout(10):
        await running
    assert worker.dispatched == []


async def test_drain_ends_after_its_time(worker: Worker) -> None:
    worker.hold("s1")
    running = asyncio.create_task(worker.drain.run(asyncio.Event()))
    await asyncio.sleep(0)
    worker.clock.pass_s(TIMEOUT_S)
    async with asyncio.timeout(10):
        await running
