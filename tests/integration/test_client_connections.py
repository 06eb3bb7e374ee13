"""A session that more than one connection asks for: the client keeps its own, and knows when another has it."""

import asyncio

import pytest

from frontend.client import LiveSession, ServerError, TranscriptionClient
from tests.integration.test_client_resumes import CHUNK, TIMEOUT_S, Listener, events_of, wire
from tests.integration.workers import until
from tests.stack import Stack
from tests.wire import Wire

__all__ = ["wire"]


async def test_session_is_taken_from_a_connection_that_is_dead(stack: Stack, wire: Wire) -> None:
    """The frontend believes in the old connection; what it still holds of its audio is not doubled."""
    async with (
        asyncio.timeout(TIMEOUT_S),
        TranscriptionClient(wire.url, stack.ws_url) as client,
        client.live() as session,
    ):
        listener = Listener(session)
        for number in range(100):
            await session.send(CHUNK)
            await asyncio.sleep(0.005)
            if number == 50:
                wire.freeze()
                wire.refuses = True
                # As if the client's system had noticed; the server's has not.
                session._connection._websocket.transport.abort()
        await session.stop()
        await listener.task
    assert listener.events[-1].duration_s == 8.0
    assert sum(final.end_s - final.start_s for final in listener.finals) == pytest.approx(8)


async def test_session_is_taken_back_from_a_resume_that_came_late(wire: Wire) -> None:
    """The client asks twice, as a connection breaks before the answer, and the server obeys the first request last."""
    async with asyncio.timeout(TIMEOUT_S), TranscriptionClient(wire.url) as client, client.live() as session:
        listener = Listener(session)
        for _ in range(50):
            await session.send(CHUNK)
        await until(lambda: has_heard(listener))
        wire.hold_next()
        wire.cut()
        await wire.holds.wait()
        wire.cut()
        await until(lambda: is_connected(wire, session, 3))
        wire.deliver()
        await until(lambda: is_connected(wire, session, 4))
        for _ in range(50):
            await session.send(CHUNK)
        await session.stop()
        await listener.task
    assert listener.events[-1].duration_s == 8.0
    assert sum(final.end_s - final.start_s for final in listener.finals) == pytest.approx(8)


async def has_heard(listener: Listener) -> bool:
    return bool(listener.events)


async def is_connected(wire: Wire, session: LiveSession, connections: int) -> bool:
    return wire.connections >= connections and session._connection.is_serving


async def test_session_that_another_takes_over_gets_an_error(stack: Stack) -> None:
    async with (
        asyncio.timeout(TIMEOUT_S),
        TranscriptionClient(stack.ws_url) as client,
        client.live() as session,
        TranscriptionClient(stack.ws_url) as thief,
        thief.live() as other,
    ):
        await session.send(CHUNK)
        other._memory.ready = session.ready
        other._connection._websocket.transport.abort()
        with pytest.raises(ServerError) as raised:
            await events_of(session)
        assert raised.value.code == "session_resumed"
