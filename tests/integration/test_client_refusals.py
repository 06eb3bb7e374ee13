"""How the Python client handles the answers to a `resume`, from a server with scripted answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from frontend.client import (
    ConnectionLostError,
    Done,
    LiveSession,
    Partial,
    ServerError,
    TranscriptionClient,
    UnexpectedMessageError,
)
from tests.limits import limit_s

READY = {"type": "ready", "session_id": "s", "seq": 1, "model": "m", "resume_token": "t", "resume_timeout_s": 30}
DONE = {"type": "done", "session_id": "s", "seq": 2, "text": "", "duration": 0.0}
PARTIAL = {"type": "partial", "session_id": "s", "seq": 2, "segment": 0, "text": "a", "start": 0, "end": 1}

Answers = list[dict[str, object]]


def error(code: str) -> dict[str, object]:
    return {"type": "error", "code": code, "message": "No."}


@asynccontextmanager
async def session_with(*answers: Answers, **options: Any) -> AsyncIterator[LiveSession]:
    """A session with a server that sends each of these answers on one connection, the last one on all that follow.

    After its answer it aborts each connection except the last one.
    """
    count = 0

    async def say(connection: ServerConnection) -> None:
        nonlocal count
        count += 1
        messages = answers[min(count, len(answers)) - 1]
        await connection.recv()
        for message in messages:
            await connection.send(json.dumps(message))
        if count < len(answers):
            connection.transport.abort()
        await connection.wait_closed()

    async with (
        asyncio.timeout(limit_s(10)),
        serve(say, "127.0.0.1", 0) as server,
        TranscriptionClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", **options) as client,
        client.live() as session,
    ):
        yield session


async def test_busy_server_is_asked_again() -> None:
    async with session_with([READY], [error("server_busy")], [error("model_unavailable")], [READY, DONE]) as session:
        assert [type(event) async for event in session] == [Done]


@pytest.mark.parametrize("code", ["unauthorized", "forbidden"])
async def test_server_that_refuses_the_client_is_not_asked_again(code: str) -> None:
    async with session_with([READY], [error(code)]) as session:
        with pytest.raises(ServerError) as raised:
            await anext(session)
    assert raised.value.code == code


async def test_session_that_is_gone_has_failed() -> None:
    async with session_with([READY, PARTIAL], [error("session_expired")]) as session:
        await anext(session)
        with pytest.raises(ConnectionLostError, match=r"was lost \(No\)"):
            await anext(session)


async def test_session_that_ended_before_its_audio_has_failed() -> None:
    async with session_with([READY], [READY | {"ended": True}, DONE]) as session:
        with pytest.raises(ConnectionLostError, match="before it had all audio"):
            await anext(session)


async def test_session_that_ended_as_it_was_told_is_done() -> None:
    async with session_with([READY], [READY | {"ended": True}, DONE]) as session:
        await session.stop()
        assert [type(event) async for event in session] == [Done]


async def test_message_without_its_fields_ends_the_session() -> None:
    async with session_with([READY, {"type": "received"}]) as session:
        with pytest.raises(UnexpectedMessageError, match="received"):
            await anext(session)


async def test_error_of_on_reconnect_ends_the_session() -> None:
    def fail(lost: ConnectionLostError) -> None:
        raise OSError(f"No disk for this line: {lost}")

    async with session_with([READY, PARTIAL], [READY], on_reconnect=fail) as session:
        assert isinstance(await anext(session), Partial)
        with pytest.raises(OSError, match="No disk"):
            await anext(session)
        with pytest.raises(OSError, match="No disk"):
            await session.send(b"")


@pytest.mark.parametrize(("told_s", "wished_s"), [(0.3, None), (0.3, 30.0), (30.0, 0.3)])
async def test_client_gives_up_when_the_server_or_its_user_does(told_s: float, wished_s: float | None) -> None:
    answers: list[Answers] = [[READY | {"resume_timeout_s": told_s}], []]
    async with session_with(*answers, resume_timeout_s=wished_s) as session:
        with pytest.raises(ConnectionLostError):
            await anext(session)
