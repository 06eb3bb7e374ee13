"""Which sessions a frontend looks up, dispatches again and gives up, on a clock of its own."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from frontend.sessions.recovery import EXPIRED, START_S, Recovery
from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.audio import AudioWriter
from shared.bus.event_log import QUIET_S
from shared.bus.registry import StartReport
from shared.celery_config import Queue
from shared.config.settings import Settings
from shared.session_options import SessionOptions
from tests.unit.frontend.sessions.held_sessions import Held
from tests.unit.redis_in_memory import Clock, answered, log_range, script_named

GIVE_UP_S = 10.0


class Frontend:
    """Some sessions, Redis as it holds them, and the tasks that were dispatched."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.hashes: dict[str, dict[str, str]] = {}
        self.log: list[bytes] = []
        """The events of a session."""
        self.lookups = 0
        self.is_reachable = True
        self.dispatched: list[str] = []
        self.sessions: dict[str, Session] = {}
        self._redis = answered(self._answer)
        self._writer = AudioWriter(Settings())
        self.starting: list[StartReport] = []
        self.recovery = Recovery(
            self._redis, self.sessions, self._dispatch, GIVE_UP_S, self.clock, starting=self._start_reports
        )

    def hold(self, session_id: str, **fields: Any) -> Held:
        """A session that Redis holds with these fields; its lease is in force unless they say something else."""
        held = Held(self._redis, self._writer, self.clock, session_id)
        self.sessions[session_id] = held.session
        self.hashes[keys.session(session_id)] = {"seq": "0", "lease": str(self._now_ms() * 2)} | fields
        return held

    def lapse(self, session_id: str) -> None:
        self.hashes[keys.session(session_id)]["lease"] = "0"

    async def pass_s(self, seconds: float) -> None:
        """Time passes, then the recovery checks."""
        self.clock.pass_s(seconds)
        await self.recovery.check()

    def _now_ms(self) -> int:
        return int(self.clock.now_s * 1000)

    def _answer(self, command: str, *words: str) -> Any:
        if not self.is_reachable:
            raise RedisConnectionError("gone")
        if command == "XRANGE":
            return log_range(self.log, *words[1:])
        assert (command, script_named(words[0])) == ("EVALSHA", "look")
        self.lookups += 1
        held = self.hashes.get(words[2], {})
        state, consumed, seq = (held[name].encode() if name in held else None for name in ("state", "consumed", "seq"))
        return [state, int(int(held.get("lease", 0)) < self._now_ms()), consumed, seq]

    async def _start_reports(self) -> list[StartReport]:
        return self.starting

    async def _dispatch(self, session_id: str, _options: SessionOptions, _queue: Queue, _key: str) -> None:
        self.dispatched.append(session_id)


@pytest.fixture
async def frontend() -> Frontend:
    return Frontend()


async def test_session_that_is_heard_of_is_not_looked_up(frontend: Frontend) -> None:
    held = frontend.hold("s1", state="live")
    frontend.lapse("s1")
    for _ in range(5):
        held.hear()
        await frontend.pass_s(QUIET_S)
    assert (frontend.lookups, frontend.dispatched) == (0, [])


async def test_quiet_session_with_an_owner_is_looked_up_and_left_alone(frontend: Frontend) -> None:
    frontend.hold("s1", state="live")
    frontend.hold("s2", state="offered")
    await frontend.pass_s(QUIET_S + 0.1)
    assert (frontend.lookups, frontend.dispatched) == (2, [])


async def test_event_that_was_lost_on_the_channel_is_read_from_the_log(frontend: Frontend) -> None:
    frontend.log = [b'{"type":"partial","seq":1}']
    held = frontend.hold("s1", state="live", seq="1")
    await frontend.pass_s(QUIET_S + 0.1)
    assert await held.next_event() == {"type": "partial", "seq": 1}


async def test_session_that_waits_for_progress_is_looked_up_at_once(frontend: Frontend) -> None:
    held = frontend.hold("s1", state="live", consumed="1600")
    held.follower.request_lookup()
    await frontend.pass_s(0.1)
    assert held.session.heard_samples == 1600
    held.hear()
    await frontend.pass_s(0.1)
    assert frontend.lookups == 1, "it was heard of since"


@pytest.mark.parametrize("state", ["live", "offered"])
async def test_session_without_owner_is_dispatched_again_after_each_lease(frontend: Frontend, state: str) -> None:
    frontend.hold("s1", state=state)
    frontend.lapse("s1")
    await frontend.pass_s(QUIET_S + 0.1)
    assert frontend.dispatched == ["s1"]
    await frontend.pass_s(keys.LEASE_S - 0.1)
    assert frontend.dispatched == ["s1"]
    await frontend.pass_s(0.2)
    assert frontend.dispatched == ["s1", "s1"]


async def test_session_that_no_worker_takes_over_ends(frontend: Frontend) -> None:
    held = frontend.hold("s1", state="live")
    frontend.lapse("s1")
    with capture_logs() as logs:
        for seconds in (QUIET_S + 0.1, GIVE_UP_S / 2, GIVE_UP_S / 2 + 0.1, 1.0):
            await frontend.pass_s(seconds)
    assert [(log["event"], log["session_id"]) for log in logs] == [("session_orphaned", "s1"), ("session_failed", "s1")]
    assert await held.last_event() == {
        "type": "error",
        "session_id": "s1",
        "code": "model_unavailable",
        "message": "No worker took the session over within 10 s.",
        "seq": 1,
    }


async def test_worker_that_loads_the_model_is_waited_for(frontend: Frontend) -> None:
    """As after a crash of the only worker."""
    held = frontend.hold("s1", state="live")
    frontend.lapse("s1")
    frontend.starting = [StartReport("w1", "echo", "load", "is loading echo")]
    await frontend.pass_s(QUIET_S + 0.1)
    await frontend.pass_s(START_S - 0.1)
    assert not held.session.ended
    assert frontend.dispatched == ["s1", "s1"]
    await frontend.pass_s(0.2)
    assert (await held.last_event())["code"] == "model_unavailable"


async def test_worker_that_has_just_loaded_its_model_is_waited_for(frontend: Frontend) -> None:
    """Its report is gone before it takes the first session over."""
    held = frontend.hold("s1", state="live")
    frontend.lapse("s1")
    frontend.starting = [StartReport("w1", "echo", "load", "is loading echo")]
    await frontend.pass_s(QUIET_S + 0.1)
    await frontend.pass_s(GIVE_UP_S + 10)
    frontend.starting = []
    await frontend.pass_s(GIVE_UP_S - 0.1)
    assert not held.session.ended
    await frontend.pass_s(0.2)
    assert (await held.last_event())["code"] == "model_unavailable"


async def test_session_that_is_heard_again_is_not_lost_any_more(frontend: Frontend) -> None:
    held = frontend.hold("s1", state="live")
    frontend.lapse("s1")
    await frontend.pass_s(QUIET_S + 0.1)
    held.hear()
    await frontend.pass_s(1.0)
    await frontend.pass_s(GIVE_UP_S)
    assert frontend.dispatched == ["s1", "s1"], "it is lost for a second time, and has its full time again"
    assert not held.session.ended


async def test_session_with_a_new_owner_is_not_lost_any_more(frontend: Frontend) -> None:
    held = frontend.hold("s1", state="live")
    lease = frontend.hashes[keys.session("s1")]["lease"]
    frontend.lapse("s1")
    await frontend.pass_s(QUIET_S + 0.1)
    assert frontend.recovery.orphaned == 1
    frontend.hashes[keys.session("s1")]["lease"] = lease
    await frontend.pass_s(GIVE_UP_S)
    assert frontend.recovery.orphaned == 0
    frontend.lapse("s1")
    await frontend.pass_s(1.0)
    assert frontend.dispatched == ["s1", "s1"]
    assert not held.session.ended


async def test_outage_gives_every_session_its_full_time_again(frontend: Frontend) -> None:
    held = frontend.hold("s1", state="live")
    frontend.lapse("s1")
    await frontend.pass_s(QUIET_S + 0.1)
    frontend.recovery.forget_losses(frontend.sessions.values())
    await frontend.pass_s(GIVE_UP_S + 0.1)
    assert frontend.dispatched == ["s1", "s1"]
    assert not held.session.ended


async def test_new_session_is_recovered_only_after_its_first_dispatch(frontend: Frontend) -> None:
    held = frontend.hold("s1", state="waiting")
    await frontend.pass_s(QUIET_S + 0.1)
    assert frontend.dispatched == [], "it is in the line of those that start"
    frontend.recovery.dispatched(held.session)
    lookups = frontend.lookups
    await frontend.pass_s(QUIET_S)
    assert frontend.lookups == lookups, "a worker has just been asked"
    await frontend.pass_s(0.1)
    assert frontend.dispatched == ["s1"]


async def test_expired_session_ends(frontend: Frontend) -> None:
    held = frontend.hold("s1")
    await frontend.pass_s(QUIET_S + 0.1)
    assert (await held.last_event())["message"] == EXPIRED


async def test_ended_session_and_one_of_a_newer_version_are_left_alone(frontend: Frontend) -> None:
    frontend.hold("s1", state="done")
    frontend.hold("s2", state="paused")
    for session_id in ("s1", "s2"):
        frontend.lapse(session_id)
    await frontend.pass_s(QUIET_S + 0.1)
    assert frontend.dispatched == []


async def test_lost_redis_is_waited_for(frontend: Frontend) -> None:
    frontend.hold("s1", state="live")
    frontend.lapse("s1")
    frontend.is_reachable = False
    await frontend.pass_s(QUIET_S + 0.1)
    frontend.is_reachable = True
    await frontend.pass_s(0.5)
    assert frontend.dispatched == ["s1"]


async def test_nothing_is_kept_of_a_session_that_has_left(frontend: Frontend) -> None:
    held = frontend.hold("s1", state="live")
    frontend.lapse("s1")
    await frontend.pass_s(QUIET_S + 0.1)
    del frontend.sessions["s1"]
    await frontend.pass_s(0.5)
    frontend.sessions["s1"] = held.session
    await frontend.pass_s(GIVE_UP_S)
    assert frontend.dispatched == ["s1", "s1"]
    assert not held.session.ended


async def test_session_of_another_connection_begins_with_a_clean_record(frontend: Frontend) -> None:
    frontend.hold("s1", state="live")
    frontend.lapse("s1")
    await frontend.pass_s(QUIET_S + 0.1)
    again = frontend.hold("s1", state="live")
    frontend.lapse("s1")
    await frontend.pass_s(GIVE_UP_S + 0.1)
    assert not again.session.ended
