"""A worker that dies, hangs or loses its network: its sessions continue elsewhere, and does no harm when it wakes."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from frontend.sessions.session import Session
from shared.bus import keys
from shared.session_options import SessionOptions
from tests.integration.workers import (
    SECOND,
    Fleet,
    Link,
    admitted_are,
    assert_whole,
    events_of,
    redis_alone,
    speak,
    until,
)
from tests.limits import limit_s
from tests.stack import Stack

DETECTED_S = keys.LEASE_S + 0.5
"""A lease expires, and the frontend looks for such sessions twice a second."""
RECOVERY_S = 3.0
IDLE_S = 4.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"claim_timeout_s": limit_s(4), "retention_s": 2, "drain_timeout_s": 1}
    limits |= {"idle_timeout_s": IDLE_S, "resume_timeout_s": IDLE_S}
    with redis_alone(tmp_path_factory.mktemp("recovery"), model={"slots": 2}, session=limits) as stack:
        yield stack


async def dies(fleet: Fleet, link: Link) -> Callable[[], None]:
    fleet.signal("first", signal.SIGKILL)
    return lambda: None


async def hangs(fleet: Fleet, link: Link) -> Callable[[], None]:
    fleet.signal("first", signal.SIGSTOP)
    return lambda: fleet.signal("first", signal.SIGCONT)


async def loses_its_network(fleet: Fleet, link: Link) -> Callable[[], None]:
    link.cut()
    return link.heal


@pytest.mark.parametrize("fails", [pytest.param(dies, marks=pytest.mark.redis_server), hangs, loses_its_network])
async def test_sessions_of_a_lost_worker_continue_within_seconds(fleet: Fleet, fails: Callable) -> None:
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(Link.to(fleet.service))
        await fleet.start("first", REDIS_URL=f"redis://127.0.0.1:{link.port}/0")
        sessions = [await fleet.gateway.open(SessionOptions()) for _ in range(2)]
        await fleet.start("second")
        hearing = [asyncio.create_task(events_of(session)) for session in sessions]
        speaking = [asyncio.create_task(speak(session, 24)) for session in sessions]
        await until(lambda: have_finals(fleet, sessions))
        sent = [await fleet.log(session) for session in sessions]
        wakes = await fails(fleet, link)
        lost_s = time.monotonic()
        await until(lambda: are_owned_by(fleet, sessions, "second"))
        took_s = time.monotonic() - lost_s
        print(f"continued {took_s:.2f} s after the loss")
        assert took_s < DETECTED_S + limit_s(RECOVERY_S)
        wakes()
        await asyncio.gather(*speaking)
        for session in sessions:
            await session.finish()
        for events, before in zip(await asyncio.gather(*hearing), sent, strict=True):
            assert_whole(events, 24.0)
            assert events[1 : len(before)] == before[1:], "what was sent stays"
        await until(lambda: admitted_are(fleet.registry, 0))
        if fails is not dies:
            await serves_again(fleet, "first")


async def have_finals(fleet: Fleet, sessions: list[Session]) -> bool:
    logs = [await fleet.log(session) for session in sessions]
    return all("final" in {event["type"] for event in log} for log in logs)


async def are_owned_by(fleet: Fleet, sessions: list[Session], label: str) -> bool:
    return all([await fleet.is_owned_by(session, label) for session in sessions])


async def serves_again(fleet: Fleet, label: str) -> None:
    """A worker that was away has every slot free: two threads and two places in its engine."""
    await until(lambda: all_are_idle(fleet, 2))
    opened = [await fleet.gateway.open(SessionOptions()) for _ in range(4)]
    assert sorted([await fleet.owner(session) for session in opened]) == ["first", "first", "second", "second"]
    for session in opened:
        await session.finish()
        assert (await events_of(session))[-1]["type"] == "done"


async def all_are_idle(fleet: Fleet, workers: int) -> bool:
    loads = await fleet.loads()
    slots = (await fleet.gateway.status())["slots"]
    return len(loads) == workers and slots == 2 * workers and not any(loads.values())


async def test_new_owner_repeats_no_answer_to_a_commit(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions(turns=True))
    await session.write(SECOND)
    await session.commit()
    await until(lambda: has_answer(fleet, session))
    await fleet.start("second")
    fleet.signal("first", signal.SIGKILL)
    await until(lambda: fleet.is_owned_by(session, "second"))
    await session.commit()
    await session.finish()
    assert [event["end"] for event in await events_of(session) if event["type"] == "committed"] == [1.0, 1.0]


async def has_answer(fleet: Fleet, session: Session) -> bool:
    return "committed" in {event["type"] for event in await fleet.log(session)}


async def test_woken_owner_ends_no_session_of_the_new_one(fleet: Fleet) -> None:
    """It was about to write the last event, to end the session and to free its slot."""
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions())
    await fleet.start("second")
    await session.write(SECOND)
    await until(lambda: has_partial(fleet, session))
    fleet.signal("first", signal.SIGSTOP)
    await until(lambda: fleet.is_owned_by(session, "second"))
    fleet.signal("second", signal.SIGSTOP)
    await session.finish()
    fleet.signal("first", signal.SIGCONT)
    await until(lambda: is_idle(fleet, "first"))
    assert await fleet.redis.hget(keys.session(session.id), "state") == b"live"
    assert await admitted_are(fleet.registry, 1)
    assert "done" not in {event["type"] for event in await fleet.log(session)}
    fleet.signal("second", signal.SIGCONT)
    assert_whole(await events_of(session), 1.0)


async def has_partial(fleet: Fleet, session: Session) -> bool:
    return "partial" in {event["type"] for event in await fleet.log(session)}


async def is_idle(fleet: Fleet, label: str) -> bool:
    return (await fleet.loads()).get(label) == 0


async def test_worker_that_hung_alone_continues_its_own_session(fleet: Fleet) -> None:
    await fleet.start("only")
    session = await fleet.gateway.open(SessionOptions())
    await session.write(SECOND)
    await until(lambda: has_partial(fleet, session))
    fleet.signal("only", signal.SIGSTOP)
    await session.write(SECOND)
    await until(lambda: has_lapsed(fleet, session))
    await until(lambda: is_dispatched(fleet))
    fleet.signal("only", signal.SIGCONT)
    await session.write(SECOND)
    await session.finish()
    assert_whole(await events_of(session), 3.0)
    fleet.service.check_alive()


async def has_lapsed(fleet: Fleet, session: Session) -> bool:
    seconds, microseconds = await fleet.redis.time()
    return float(await fleet.redis.hget(keys.session(session.id), "lease")) < seconds * 1000 + microseconds / 1000


async def is_dispatched(fleet: Fleet) -> bool:
    return bool(await fleet.redis.exists("stream:echo"))


@pytest.mark.parametrize("passed", [True, False])
async def test_options_outlive_their_worker(fleet: Fleet, passed: bool) -> None:
    """Those before the checkpoint, whose entries are trimmed, and those after it."""
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions(partials=False, language="en"))
    await fleet.start("second")
    if not passed:
        fleet.signal("first", signal.SIGSTOP)
    await session.write(SECOND)
    await session.configure(SessionOptions(partials=False, language="fr", words=False, model="echo"))
    for _ in range(11):
        await session.write(SECOND)
    if passed:
        await until(lambda: have_finals(fleet, [session]))
    fleet.signal("first", signal.SIGKILL)
    await until(lambda: fleet.is_owned_by(session, "second"))
    await session.finish()
    finals = [event for event in await events_of(session) if event["type"] == "final"]
    assert (finals[-1]["language"], "words" in finals[-1]) == ("fr", False)
    assert finals[-1]["end"] == 12.0


async def test_commit_that_the_dead_worker_had_not_answered_is_answered(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions(partials=False))
    await fleet.start("second")
    fleet.signal("first", signal.SIGSTOP)
    for _ in range(3):
        await session.write(SECOND)
    await session.commit()
    fleet.signal("first", signal.SIGKILL)
    async with asyncio.timeout(limit_s(10)):
        events = session.events()
        while (event := await anext(events)).type != "final":
            pass
    assert (event.wire["start"], event.wire["end"]) == (0.0, 3.0)
    await session.cancel()


async def test_session_that_nobody_needs_ends_after_a_takeover_too(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions())
    await fleet.start("second")
    await session.write(SECOND)
    fleet.signal("first", signal.SIGKILL)
    await until(lambda: fleet.is_owned_by(session, "second"))
    events = await events_of(session)
    told = [line["event"] for line in fleet.service.log() if line.get("session_id") == session.id]
    assert [event for event in told if event in {"session_started", "session_taken_over"}] == [
        "session_started",
        "session_taken_over",
    ]
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "idle_timeout")
    await until(lambda: is_gone(fleet, session))
    assert await admitted_are(fleet.registry, 0)


async def is_gone(fleet: Fleet, session: Session) -> bool:
    return not await fleet.redis.exists(*keys.of_session(session.id))


async def test_session_whose_client_left_ends_at_its_new_owner(fleet: Fleet) -> None:
    """The dead worker had not received that the client is gone, and the new one does not get it from anyone else."""
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions())
    await session.write(SECOND)
    await until(lambda: has_partial(fleet, session))
    fleet.signal("first", signal.SIGSTOP)
    await fleet.start("second")
    session.detach()
    await until(lambda: has_lapsed(fleet, session))
    await fleet.frontend.dispatcher.dispatch(session.id, session.options, "stream")
    await until(lambda: fleet.is_owned_by(session, "second"))
    await until(lambda: is_gone(fleet, session))
    fleet.signal("first", signal.SIGCONT)
    await until(lambda: is_idle(fleet, "first"))
    assert not await fleet.redis.exists(*keys.of_session(session.id))


async def test_every_key_of_a_session_without_worker_and_client_has_an_end(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions(partials=False))
    await session.write(SECOND)
    await session.commit()
    await until(lambda: have_finals(fleet, [session]))
    fleet.signal("first", signal.SIGKILL)
    for key in keys.of_session(session.id):
        assert 0 < await fleet.redis.ttl(key) <= keys.SESSION_TTL_S
