"""A worker that is stopping: its sessions continue elsewhere, or here for a while, and it exits with 0."""

import asyncio
import ctypes
import itertools
import os
import signal
import time
from collections.abc import Iterator

import pytest

from frontend.sessions.session import Session
from shared.bus import keys
from shared.celery_config import celery_app, queue_name
from shared.dispatch import Dispatcher
from shared.errors import ModelUnavailableError
from shared.session_options import SessionOptions
from tests.integration.workers import (
    SECOND,
    Fleet,
    admitted_are,
    assert_whole,
    events_of,
    redis_alone,
    speak,
    until,
    workers_are,
)
from tests.limits import limit_s
from tests.stack import Stack
from worker.drain import LATEST_OFFER_S
from worker.engines.registry import load_engine
from worker.runtime import WorkerRuntime

DRAIN_S = 2.0
PATIENT = {"VOXTRAL_SESSION__DRAIN_TIMEOUT_S": "30"}
MAX_GAP_S = 1.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"claim_timeout_s": 3, "retention_s": 5, "drain_timeout_s": DRAIN_S}
    with redis_alone(tmp_path_factory.mktemp("draining"), model={"slots": 2}, session=limits) as stack:
        yield stack


async def heard(session: Session) -> tuple[list[dict], list[float]]:
    """The events of a session to its end, and when each partial came (monotonic)."""
    events, partials_s = [], []
    async for event in session.events():
        events.append(event.wire)
        if event.type == "partial":
            partials_s.append(time.monotonic())
    return events, partials_s


def longest_gap_s(at_s: list[float]) -> float:
    return max(after - before for before, after in itertools.pairwise(at_s))


async def speak_until(session: Session, enough: asyncio.Event) -> float:
    """Speak four times as fast as a person; how many seconds it was."""
    duration_s = 0
    while not enough.is_set():
        await speak(session, 1)
        duration_s += 1
    return duration_s


async def test_sessions_continue_at_another_worker_without_a_gap(fleet: Fleet) -> None:
    await fleet.start("first", **PATIENT)
    sessions = [await fleet.gateway.open(SessionOptions()) for _ in range(2)]
    await fleet.start("second")
    enough = asyncio.Event()
    hearing = [asyncio.create_task(heard(session)) for session in sessions]
    speaking = [asyncio.create_task(speak_until(session, enough)) for session in sessions]
    await until(lambda: has_finals(fleet, sessions))
    fleet.signal("first", signal.SIGTERM)
    told_s = time.monotonic()
    assert await fleet.ends("first", 10 + LATEST_OFFER_S) == 0
    enough.set()
    for session, duration_s, listening in zip(sessions, await asyncio.gather(*speaking), hearing, strict=True):
        assert await fleet.owner(session) == "second"
        await session.finish()
        events, partials_s = await listening
        assert_whole(events, duration_s)
        before_s = longest_gap_s([at_s for at_s in partials_s if at_s < told_s])
        after_s = longest_gap_s([at_s for at_s in partials_s if at_s >= told_s])
        print(f"longest gap between partials: {before_s:.2f} s before the hand-over, {after_s:.2f} s in it and after")
        assert after_s < before_s + limit_s(MAX_GAP_S)
    assert await admitted_are(fleet.registry, 0)


async def has_finals(fleet: Fleet, sessions: list[Session]) -> bool:
    logs = [await fleet.log(session) for session in sessions]
    return all("final" in {event["type"] for event in log} for log in logs)


async def test_without_another_worker_a_session_is_finished(fleet: Fleet) -> None:
    await fleet.start("worker", **PATIENT)
    session = await fleet.gateway.open(SessionOptions())
    await session.write(SECOND)
    fleet.signal("worker", signal.SIGTERM)
    await until(lambda: is_draining(fleet))
    with pytest.raises(ModelUnavailableError):
        await fleet.gateway.open(SessionOptions())
    await session.write(SECOND)
    await session.finish()
    assert_whole(await events_of(session), 2.0)
    assert await fleet.ends("worker") == 0
    assert await workers_are(fleet.registry, 0)


async def is_draining(fleet: Fleet) -> bool:
    return (await fleet.gateway.status())["slots"] == 0


async def test_what_is_left_after_the_drain_timeout_is_told_and_logged(fleet: Fleet) -> None:
    await fleet.start("worker")
    session = await fleet.gateway.open(SessionOptions())
    told_s = time.monotonic()
    fleet.signal("worker", signal.SIGTERM)
    events = await events_of(session)
    assert time.monotonic() - told_s >= DRAIN_S
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "model_unavailable")
    assert events[-1]["retry_after_s"] > 0
    assert await fleet.ends("worker") == 0
    assert any(session.id in str(line) for line in fleet.service.log("worker_drained"))


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_second_request_ends_sessions_at_once(fleet: Fleet, second: signal.Signals) -> None:
    await fleet.start("worker", **PATIENT)
    session = await fleet.gateway.open(SessionOptions())
    fleet.signal("worker", signal.SIGTERM)
    await until(lambda: is_draining(fleet))
    fleet.signal("worker", second)
    events = await events_of(session)
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "model_unavailable")
    status = await fleet.ends("worker", 3)
    assert status == 0 or second == signal.SIGINT


async def test_signal_that_the_main_thread_does_not_see_is_obeyed(fleet: Fleet) -> None:
    """As one that comes just before Celery's main thread waits for its tasks."""
    await fleet.start("worker", **PATIENT)
    session = await fleet.gateway.open(SessionOptions())
    fleet.signal("worker", signal.SIGTERM)
    await until(lambda: is_draining(fleet))
    pid = fleet.service.processes["worker"].pid
    other = max(map(int, os.listdir(f"/proc/{pid}/task")))  # the thread that was started last
    assert other != pid
    assert ctypes.CDLL(None).tgkill(pid, other, signal.SIGINT) == 0
    assert (await events_of(session))[-1]["code"] == "model_unavailable"
    await fleet.ends("worker", 3)


async def test_worker_that_flower_shuts_down_drains(fleet: Fleet) -> None:
    await fleet.start("old", **PATIENT)
    session = await fleet.gateway.open(SessionOptions())
    await session.write(SECOND)
    await until(lambda: fleet.is_owned_by(session, "old"))
    [worker] = await fleet.registry.workers()
    app = celery_app(fleet.service.settings)
    await asyncio.to_thread(app.control.shutdown, destination=[f"celery@{worker.id}"])
    app.close()
    await until(lambda: is_draining(fleet))
    await fleet.start("new")
    await until(lambda: fleet.is_owned_by(session, "new"))
    assert await fleet.ends("old") == 0
    await session.finish()
    assert_whole(await events_of(session), 1.0)


async def test_worker_that_comes_later_takes_over_what_is_left(fleet: Fleet) -> None:
    await fleet.start("old", **PATIENT)
    session = await fleet.gateway.open(SessionOptions())
    await session.write(SECOND)
    fleet.signal("old", signal.SIGTERM)
    await until(lambda: is_draining(fleet))
    await session.write(SECOND)
    await fleet.start("new")
    await until(lambda: fleet.is_owned_by(session, "new"))
    assert await fleet.ends("old") == 0
    await session.finish()
    assert_whole(await events_of(session), 2.0)


async def test_full_worker_takes_a_session_over_when_a_slot_is_free(fleet: Fleet) -> None:
    await fleet.start("full", VOXTRAL_MODEL__SLOTS="1")
    other = await fleet.gateway.open(SessionOptions())
    await fleet.start("old", **PATIENT)
    await until(lambda: slots_are(fleet, 3))
    session = await fleet.gateway.open(SessionOptions())
    fleet.signal("old", signal.SIGTERM)
    await until(lambda: is_offered(fleet, session))
    await session.write(SECOND)
    await session.commit()
    assert "final" in {event["type"] for event in await seen_until_final(session)}
    assert await fleet.owner(session) == "old"
    await other.cancel()
    await until(lambda: fleet.is_owned_by(session, "full"))
    assert await fleet.ends("old") == 0
    await session.finish()
    assert (await events_of(session))[-1]["type"] == "done"


async def is_offered(fleet: Fleet, session: Session) -> bool:
    return await fleet.redis.hget(keys.session(session.id), "state") == b"offered"


async def all_owned_by(fleet: Fleet, sessions: list[Session], label: str) -> bool:
    return [await fleet.owner(session) for session in sessions] == [label] * len(sessions)


async def slots_are(fleet: Fleet, slots: int) -> bool:
    return (await fleet.gateway.status())["slots"] == slots


async def seen_until_final(session: Session) -> list[dict]:
    seen = []
    async with asyncio.timeout(limit_s(10)):
        async for event in session.events():
            seen.append(event.wire)
            if event.type == "final":
                break
    return seen


async def test_task_that_reaches_a_draining_worker_is_passed_on(fleet: Fleet) -> None:
    await fleet.start("old", **PATIENT)
    await fleet.start("new")
    await until(lambda: slots_are(fleet, 4))
    held = await fleet.gateway.open(SessionOptions())
    fleet.signal("old", signal.SIGTERM)
    opened = await fleet.gateway.open(SessionOptions())
    await until(lambda: all_owned_by(fleet, [held, opened], "new"))
    assert await fleet.ends("old") == 0
    for session in (held, opened):
        await session.cancel()


async def test_task_that_comes_after_the_last_session_is_passed_on_too(fleet: Fleet) -> None:
    settings = fleet.service.settings
    dispatcher = Dispatcher(settings)
    runtime = WorkerRuntime(settings, load_engine(settings), dispatcher.dispatch)
    runtime.start()
    try:
        runtime.announce()
        await until(lambda: workers_are(fleet.registry, 1))
        runtime.stop()
        await until(lambda: workers_are(fleet.registry, 0))
        async with asyncio.timeout(limit_s(5)):
            outcome = await asyncio.to_thread(runtime.serve, "late", {"model": "echo"})
        assert outcome == {"outcome": "not claimed"}
        assert await fleet.redis.llen(queue_name("stream", "echo")) == 1
    finally:
        runtime.join()
        dispatcher.close()
