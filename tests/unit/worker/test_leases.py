"""When a worker renews the leases of its sessions, and which sessions it ends, on a virtual clock."""

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from shared.bus import keys
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.states import SessionState
from shared.config.sections import SessionSettings
from shared.errors import IdleTimeoutError
from tests.unit.redis_in_memory import Clock, answered, script_named
from tests.unit.worker.claimed_sessions import ScriptCalls, claimed
from worker.event_writer import EventWriter
from worker.leases import Leases
from worker.session import WorkerSession

DETACHED_S = 30.0


class Worker:
    def __init__(self) -> None:
        self.clock = Clock()
        self.redis = ScriptCalls()
        self.sessions: dict[str, WorkerSession] = {}
        self.fenced: list[str] = []
        scripts = Scripts(answered(self.redis))
        self.leases = Leases(
            scripts=scripts,
            limits=SessionSettings(idle_timeout_s=60.0, resume_timeout_s=DETACHED_S),
            sessions=self.sessions,
            writer=EventWriter(scripts, 1.0, lambda _: None, lambda _: None),
            on_fenced=lambda session: self.fenced.append(session.session_id),
            clock=self.clock,
        )

    def claim(self, session_id: str) -> WorkerSession:
        session = self.sessions[session_id] = claimed(session_id, self.clock.now_s)
        return session

    async def pass_s(self, seconds: float) -> list[str]:
        """Time passes, then the leases are checked. Returns whose were renewed."""
        self.clock.pass_s(seconds)
        self.redis.renewed.clear()
        await self.leases.check()
        return self.redis.renewed.copy()


@pytest.fixture
async def worker() -> Worker:
    return Worker()


async def test_lease_is_renewed_at_once_and_then_again_and_again(worker: Worker) -> None:
    worker.claim("s1")
    assert await worker.pass_s(0.1) == ["s1"]
    assert await worker.pass_s(keys.RENEW_INTERVAL_S - 0.1) == []
    assert await worker.pass_s(0.2) == ["s1"]


async def test_leases_are_renewed_each_in_its_time(worker: Worker) -> None:
    worker.claim("s1")
    assert await worker.pass_s(0.1) == ["s1"]
    worker.claim("s2")
    assert await worker.pass_s(0.1) == ["s2"]
    assert await worker.pass_s(keys.RENEW_INTERVAL_S - 0.05) == ["s1"]
    assert await worker.pass_s(0.1) == ["s2"]


async def test_client_that_goes_or_comes_is_reported_at_once(worker: Worker) -> None:
    session = worker.claim("s1")
    assert await worker.pass_s(0.1) == ["s1"]
    assert worker.redis.gone_ms["s1"] == ""
    session.detach(worker.clock.now_s)
    assert await worker.pass_s(0.125) == ["s1"]
    assert worker.redis.gone_ms["s1"] == "125"
    assert await worker.pass_s(0.1) == []
    session.attach()
    assert await worker.pass_s(0.1) == ["s1"]
    assert worker.redis.gone_ms["s1"] == ""


async def test_client_that_goes_while_the_lease_is_renewed_is_reported_next(worker: Worker) -> None:
    session = worker.claim("s1")

    def goes(*words: str) -> object:
        if words[0] == "EVALSHA" and script_named(words[1]) == "renew":
            said.append(worker.redis.gone_ms.get("s1"))
            session.detach(worker.clock.now_s)
        return worker.redis(*words)

    said: list[str | None] = []

    leases = Leases(
        scripts=Scripts(answered(goes)),
        limits=SessionSettings(),
        sessions=worker.sessions,
        writer=EventWriter(Scripts(answered(worker.redis)), 1.0, lambda _: None, lambda _: None),
        on_fenced=lambda _: None,
        clock=worker.clock,
    )
    await leases.check()
    await leases.check()
    assert [*said, worker.redis.gone_ms["s1"]] == [None, "", "0"]


async def test_finished_session_waits_for_no_client(worker: Worker) -> None:
    for session_id, finish in (("s1", WorkerSession.finish), ("s2", WorkerSession.give_way)):
        session = worker.claim(session_id)
        finish(session)
        session.detach(worker.clock.now_s)
    assert await worker.pass_s(1.0) == ["s1", "s2"]
    assert worker.redis.gone_ms == {"s1": "", "s2": ""}


async def test_slots_that_could_not_be_renewed_are_renewed_next(worker: Worker) -> None:
    worker.claim("s1")
    worker.redis.keep_fault = RedisConnectionError("gone")
    assert await worker.pass_s(0.1) == ["s1"]
    assert worker.redis.gone_ms == {}
    worker.redis.keep_fault = None
    assert await worker.pass_s(0.1) == []
    assert worker.redis.gone_ms == {"s1": ""}


async def test_slots_of_a_session_that_ends_are_not_renewed(worker: Worker) -> None:
    """It gives them back: a renewal that comes later would take them again."""
    worker.claim("s1").fail(IdleTimeoutError(1))
    worker.claim("s2")
    assert await worker.pass_s(0.1) == ["s1", "s2"]
    assert worker.redis.gone_ms == {"s2": ""}


async def test_session_of_another_owner_is_dropped(worker: Worker) -> None:
    worker.claim("s1")
    worker.claim("s2")
    worker.redis.replies["s1"] = FENCED
    await worker.pass_s(0.1)
    assert worker.fenced == ["s1"]


async def test_session_that_comes_back_is_renewed_at_once(worker: Worker) -> None:
    worker.claim("s1")
    await worker.pass_s(0.1)
    worker.claim("s1")
    assert await worker.pass_s(0.1) == ["s1"]


async def test_script_that_redis_does_not_know_is_loaded(worker: Worker) -> None:
    worker.claim("s1")
    worker.redis.is_loaded = False
    assert await worker.pass_s(0.1) == ["s1"]


async def test_silent_session_ends_with_an_error(worker: Worker) -> None:
    session = worker.claim("s1")
    await worker.pass_s(60.0)
    assert session.ending is None
    await worker.pass_s(0.1)
    assert session.ending is SessionState.FAILED


@pytest.mark.parametrize("fault", [RedisConnectionError("gone"), ResponseError("OOM")], ids=str)
async def test_idle_times_begin_anew_after_redis_was_lost(worker: Worker, fault: Exception) -> None:
    silent, detached = worker.claim("s1"), worker.claim("s2")
    detached.detach(worker.clock.now_s)
    worker.redis.fault = fault
    assert await worker.pass_s(100.0) == []
    assert silent.ending is None, "nobody could be heard"
    worker.redis.fault = None
    assert await worker.pass_s(1.0) == ["s1", "s2"]
    await worker.pass_s(DETACHED_S)
    assert (silent.ending, detached.ending) == (None, None)
    await worker.pass_s(0.1)
    assert (silent.ending, detached.ending) == (None, SessionState.FAILED)
