"""What the clients of live sessions are told while Redis is gone, on a clock of its own."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from frontend.sessions import outage
from frontend.sessions.admission import RETRY_AFTER_S
from frontend.sessions.outage import GIVE_UP_AFTER_S, WARN_AFTER_S, Outage
from frontend.sessions.recovery import Recovery
from frontend.sessions.session import Session
from shared.bus.audio import AudioWriter
from shared.bus.registry import StartReport
from shared.config.settings import Settings
from shared.errors import InternalError
from tests.unit.frontend.sessions.held_sessions import Held
from tests.unit.redis_in_memory import Clock, answered

GIVE_UP_S = 10.0


class Frontend:
    """One session that has lost its owner, and a Redis with faults."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.fault: Exception | None = None
        self.hangs = False
        self.writer = AudioWriter(Settings())
        self.sessions: dict[str, Session] = {}
        redis = answered(self._answer)
        self.held = Held(redis, self.writer, self.clock, "s1")
        self.sessions["s1"] = self.held.session
        self.dispatched = 0
        self.recovery = Recovery(redis, self.sessions, self._dispatch, GIVE_UP_S, self.clock, starting=self._starting)
        self.outage = Outage(redis, self.writer, self.sessions, self.recovery, self.clock)

    async def pass_s(self, seconds: float) -> None:
        self.clock.pass_s(seconds)
        await self.outage.check()

    def _answer(self, command: str, *_words: str) -> Any:
        if self.fault is not None:
            raise self.fault
        if command == "EVALSHA":
            return [b"live", 1, None, b"0"]  # the lease has lapsed
        assert command == "PING"
        return asyncio.get_running_loop().create_future() if self.hangs else b"PONG"

    async def _starting(self) -> list[StartReport]:
        return []

    async def _dispatch(self, *_arguments: object) -> None:
        self.dispatched += 1


@pytest.fixture
async def frontend() -> Frontend:
    return Frontend()


async def test_short_outage_goes_unnoticed(frontend: Frontend) -> None:
    frontend.fault = RedisConnectionError("gone")
    await frontend.pass_s(1.0)
    await frontend.pass_s(WARN_AFTER_S - 0.1)
    frontend.fault = None
    await frontend.pass_s(1.0)
    frontend.held.session.fail(InternalError("ours"))
    assert (await frontend.held.next_event())["type"] == "error", "no warning came before it"


async def test_clients_are_warned_once_in_each_outage(frontend: Frontend) -> None:
    for _ in range(2):
        frontend.fault = RedisConnectionError("gone")
        await frontend.pass_s(1.0)
        await frontend.pass_s(WARN_AFTER_S)
        event = await frontend.held.next_event()
        assert (event["type"], event["code"]) == ("warning", outage.STORE_UNAVAILABLE)
        await frontend.pass_s(1.0)
        frontend.fault = None
        await frontend.pass_s(1.0)
    frontend.held.session.fail(InternalError("ours"))
    assert (await frontend.held.next_event())["type"] == "error", "no third warning came before it"


async def test_session_that_ends_in_an_outage_is_not_kept(frontend: Frontend) -> None:
    frontend.fault = RedisConnectionError("gone")
    await frontend.pass_s(1.0)
    await frontend.pass_s(WARN_AFTER_S)
    assert frontend.outage._warned == {frontend.held.session}
    del frontend.sessions["s1"]
    frontend.fault = None
    await frontend.pass_s(1.0)
    assert not frontend.outage._warned


async def test_sessions_end_when_redis_stays_away(frontend: Frontend) -> None:
    frontend.fault = OSError("gone")
    await frontend.pass_s(1.0)
    await frontend.pass_s(GIVE_UP_AFTER_S - 0.1)
    assert (await frontend.held.next_event())["type"] == "warning"
    await frontend.pass_s(0.2)
    last = await frontend.held.last_event()
    assert (last["code"], last["retry_after_s"]) == ("model_unavailable", RETRY_AFTER_S)
    assert last["message"] == "The service has not reached its store for 75 s."


async def test_redis_that_takes_no_audio_counts_as_gone(frontend: Frontend) -> None:
    frontend.writer._lane(frontend.writer._redis).trouble = "OOM command not allowed"
    await frontend.pass_s(1.0)
    await frontend.pass_s(WARN_AFTER_S)
    assert (await frontend.held.next_event())["type"] == "warning"


async def test_redis_that_does_not_answer_counts_as_gone(frontend: Frontend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "ANSWER_S", 0.01)
    frontend.hangs = True
    await frontend.pass_s(1.0)
    await frontend.pass_s(WARN_AFTER_S)
    assert (await frontend.held.next_event())["type"] == "warning"


async def test_session_is_not_held_to_be_lost_because_redis_was(frontend: Frontend) -> None:
    frontend.clock.pass_s(2.0)
    await frontend.recovery.check()
    frontend.fault = RedisConnectionError("gone")
    await frontend.pass_s(GIVE_UP_S + 1.0)
    frontend.fault = None
    await frontend.recovery.check()
    assert frontend.dispatched == 2
    frontend.held.session.fail(InternalError("ours"))
    assert (await frontend.held.last_event())["code"] == "internal_error", "the recovery did not give it up"
