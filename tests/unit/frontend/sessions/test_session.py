"""A session over a bus in memory: backpressure, its end, and what its listener learns."""

import asyncio
from typing import Any

from frontend.sessions.session import Session
from shared.bus.event_log import AUDIO_PROCESSED
from shared.config.settings import Settings
from shared.errors import UnauthorizedError
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.unit.clock import clocked
from tests.unit.frontend.memory_bus import MemoryBus

SECOND = b"\1\0" * SAMPLE_RATE_HZ
SETTINGS = Settings(session={"max_backlog_s": 2})


async def opened(bus: MemoryBus, **options: Any) -> Session:
    session = await bus.gateway(SETTINGS).open(SessionOptions(**options))
    assert (await anext(session.events())).type == "ready"
    return session


async def turns(count: int = 5) -> None:
    """Let other tasks do what they can."""
    for _ in range(count):
        await asyncio.sleep(0)


@clocked
async def test_a_writer_that_is_too_far_ahead_waits_until_the_worker_has_heard() -> None:
    bus = MemoryBus()
    session = await opened(bus)
    await session.write(SECOND)
    await session.write(SECOND)
    writing = asyncio.create_task(session.write(SECOND))
    await turns()
    assert (writing.done(), session.audio_received_samples) == (False, 2 * SAMPLE_RATE_HZ)
    bus.hear(session.id, 1)
    await turns()
    assert not writing.done(), "a single sample is no room"
    bus.hear(session.id, SAMPLE_RATE_HZ)
    await writing
    assert session.audio_received_samples == 3 * SAMPLE_RATE_HZ


@clocked
async def test_a_writer_that_waits_looks_for_itself_if_nothing_is_heard() -> None:
    bus = MemoryBus()
    session = await opened(bus)
    await session.write(2 * SECOND)
    writing = asyncio.create_task(session.write(SECOND))
    await asyncio.sleep(1.5)
    session.progress(SAMPLE_RATE_HZ)  # what the recovery has read in Redis
    await writing


@clocked
async def test_a_writer_is_let_go_when_the_session_ends() -> None:
    bus = MemoryBus()
    session = await opened(bus)
    await session.write(2 * SECOND)
    writing = asyncio.create_task(session.commit())
    await turns()
    await session.cancel()
    await writing
    assert (session.ended, bus.erased) == (True, [session.id])


@clocked
async def test_its_last_event_ends_it_once_and_it_is_followed_no_more() -> None:
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    session = await gateway.open(SessionOptions())
    bus.say(session.id, "done", text="", duration=0.0)
    assert [event.type async for event in session.events()] == ["ready", "done"]
    session.detach()
    await gateway.close()
    assert (gateway.sessions, bus.held[session.id].followers) == ({}, [])
    assert bus.held[session.id].controls == [], "a session that has ended has no client to lose"


@clocked
async def test_a_revoked_key_ends_the_session_here_and_at_its_worker() -> None:
    bus = MemoryBus()
    gateway = bus.gateway(SETTINGS)
    session = await gateway.open(SessionOptions())
    session._meter.on_revoked(UnauthorizedError("The key a has been revoked."))
    last = [event.wire async for event in session.events()][-1]
    assert (last["code"], last["seq"]) == ("unauthorized", 2)
    await gateway.close()
    assert bus.erased == [session.id]


@clocked
async def test_audio_is_acknowledged_twice_a_second_if_the_client_asks() -> None:
    bus = MemoryBus()
    session = await opened(bus)
    session.acknowledge()
    events = session.events()
    told = []
    for _ in range(10):
        await session.write(SECOND[: len(SECOND) // 10])
        if session.audio_received_samples % (SAMPLE_RATE_HZ // 2) == 0:
            told.append((await anext(events)).wire)
    assert [(one["type"], one["audio_received_samples"]) for one in told] == [
        ("received", SAMPLE_RATE_HZ // 2),
        ("received", SAMPLE_RATE_HZ),
    ]
    assert told[0]["session_id"] == session.id


@clocked
async def test_progress_is_an_event_after_those_before_it_if_the_options_ask() -> None:
    bus = MemoryBus()
    session = await opened(bus, progress_ms=500)
    bus.say(session.id, "speech_started", start=0.2)
    bus.hear(session.id, SAMPLE_RATE_HZ)
    events = session.events()
    assert (await anext(events)).type == "speech_started"
    told = (await anext(events)).wire
    assert (told["type"], told["audio_processed_samples"]) == (AUDIO_PROCESSED, SAMPLE_RATE_HZ)
    await session.configure(SessionOptions())
    bus.hear(session.id, 2 * SAMPLE_RATE_HZ)
    bus.say(session.id, "done", text="", duration=2.0)
    assert [event.type async for event in events] == ["done"]


@clocked
async def test_an_end_with_an_old_number_ends_the_audio() -> None:
    """A session without an end would wait for it in vain."""
    bus = MemoryBus()
    session = await opened(bus)
    await session.commit(number=5)
    await session.commit(number=5)
    await session.finish(number=5)
    assert bus.held[session.id].controls == ["commit", "end"]


@clocked
async def test_new_options_change_no_webhook() -> None:
    bus = MemoryBus()
    session = await opened(bus)
    await session.configure(SessionOptions(webhook="https://example.org", webhook_events=("final",)))
    assert (session.options.webhook, session.options.webhook_events) == (None, None)
    assert bus.held[session.id].controls == ["configure"]
