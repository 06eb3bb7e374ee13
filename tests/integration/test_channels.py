"""Sessions with a track for each channel, on real workers: slots, takeover, and what old processes are spared."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from frontend.sessions.session import Session
from shared.bus import keys
from shared.errors import ServerBusyError
from shared.events import SAMPLE_RATE_HZ
from shared.protocol import Protocol
from shared.session_options import SessionOptions
from tests.integration.workers import Fleet, admitted_are, events_of, redis_alone, until
from tests.limits import limit_s
from tests.stack import Stack

SLOTS = 3
STEREO = SessionOptions(channels=2)
SECOND = np.tile(np.array([1, 2], "<i2"), SAMPLE_RATE_HZ).tobytes()
"""Of two channels."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"claim_timeout_s": limit_s(4), "retention_s": 2, "drain_timeout_s": 1}
    with redis_alone(tmp_path_factory.mktemp("channels"), model={"slots": SLOTS}, session=limits) as stack:
        yield stack


def assert_whole(events: list[dict[str, Any]], duration_s: float, channels: int = 2) -> None:
    """Each event once, and finals that cover each channel exactly."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    finals = [event for event in events if event["type"] == "final"]
    assert sorted(event["segment"] for event in finals) == list(range(len(finals)))
    known = {event["segment"]: event["channel"] for event in events if event["type"] == "partial"}
    assert all(known[event["segment"]] == event["channel"] for event in finals)
    for channel in range(channels):
        edges_s = [0.0, *(event["end"] for event in finals if event["channel"] == channel)]
        assert [event["start"] for event in finals if event["channel"] == channel] == edges_s[:-1]
        assert edges_s[-1] == duration_s
    assert (events[-1]["type"], events[-1]["duration"]) == ("done", duration_s)


async def have_finals(fleet: Fleet, session: Session, channels: int = 2) -> bool:
    log = await fleet.log(session)
    return {event["channel"] for event in log if event["type"] == "final"} == set(range(channels))


async def test_session_of_a_lost_worker_continues_each_channel(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(STEREO)
    await fleet.start("second")
    hearing = asyncio.create_task(events_of(session))
    for _ in range(13):
        await session.write(SECOND)
    await until(lambda: have_finals(fleet, session))
    await session.write(SECOND)
    before = await fleet.log(session)
    fleet.signal("first", signal.SIGKILL)
    await until(lambda: fleet.is_owned_by(session, "second"))
    for _ in range(4):
        await session.write(SECOND)
    await session.finish()
    events = await hearing
    assert_whole(events, 18.0)
    assert events[1 : len(before)] == before[1:], "what was sent stays"
    await until(lambda: admitted_are(fleet.registry, 0))


async def test_drained_worker_hands_over_all_channels(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(STEREO)
    await fleet.start("second")
    hearing = asyncio.create_task(events_of(session))
    await session.write(SECOND)
    fleet.signal("first", signal.SIGTERM)
    await until(lambda: fleet.is_owned_by(session, "second"))
    await session.write(SECOND)
    await session.finish()
    assert_whole(await hearing, 2.0)


async def test_each_channel_takes_a_slot(fleet: Fleet) -> None:
    """A worker has more threads than slots then: a task for which it has none goes elsewhere, or is refused."""
    await fleet.start("first")
    pair = await fleet.gateway.open(STEREO)
    await until(lambda: are_free(fleet, SLOTS - 2))
    assert await admitted_are(fleet.registry, 2)
    with pytest.raises(ServerBusyError):
        await fleet.gateway.open(STEREO)
    single = await fleet.gateway.open(SessionOptions())
    with pytest.raises(ServerBusyError):
        await fleet.gateway.open(SessionOptions())
    await fleet.start("second")
    await until(lambda: are_free(fleet, SLOTS))
    others = [await fleet.gateway.open(SessionOptions(channels=3))]
    assert [await fleet.owner(one) for one in (pair, single, *others)] == ["first", "first", "second"]
    for session in (pair, single, *others):
        await session.write(SECOND + SECOND + SECOND)
        await session.finish()
        assert (await events_of(session))[-1]["type"] == "done"
    await until(lambda: are_free(fleet, 2 * SLOTS))
    assert await admitted_are(fleet.registry, 0)


async def are_free(fleet: Fleet, slots: int) -> bool:
    return (await fleet.gateway.status())["slots_free"] == slots


async def test_task_for_which_a_worker_has_too_few_slots_goes_to_another(fleet: Fleet) -> None:
    await fleet.start("first")
    held = [await fleet.gateway.open(SessionOptions()) for _ in range(2)]
    await fleet.start("second")
    await until(lambda: are_free(fleet, 2 * SLOTS - 2))
    fleet.signal("second", signal.SIGSTOP)
    opening = asyncio.create_task(fleet.gateway.open(STEREO))
    await until(lambda: is_admitted(fleet, 4))
    fleet.signal("second", signal.SIGCONT)
    session = await opening
    assert await fleet.is_owned_by(session, "second")
    for one in (*held, session):
        await one.cancel()


async def is_admitted(fleet: Fleet, slots: int) -> bool:
    return await fleet.registry.admitted("echo") == slots


async def test_no_process_without_channels_gets_such_a_session(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(STEREO)
    number, oldest = await fleet.redis.hmget(keys.session(session.id), "protocol", "protocol_oldest")
    assert not Protocol(2, 1).fits(Protocol(int(number), int(oldest)))
    assert Protocol(2, 1).number < int(oldest), "its claim script answers `UNREADABLE`"
    await session.cancel()


async def test_commit_of_a_client_ends_the_segments_of_all_channels(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions(channels=2, turns=True, partials=False))
    await session.write(SECOND)
    await session.commit()
    await session.write(SECOND)
    await session.finish()
    events = await events_of(session)
    kinds = [(event["type"], event.get("channel"), event.get("end")) for event in events]
    at = kinds.index(("committed", None, 1.0))
    assert sorted(kinds[1:at]) == [("final", 0, 1.0), ("final", 1, 1.0)]
    assert sorted(kinds[at + 1 : -1]) == [("final", 0, 2.0), ("final", 1, 2.0)]
