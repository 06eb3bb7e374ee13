"""JSON answers that begin with white space while they are worked out."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Message

from frontend.api.errors import refusal
from frontend.api.padding import PaddedReply
from frontend.api.renderers import OPENAI
from frontend.api.responses import Exchange
from frontend.servers.direct_writes import Wire
from shared.errors import ModelUnavailableError, VoxtralError

SOON_S, NEVER_S = 0.001, 60.0
BROKEN = ModelUnavailableError("No worker took over.")


class Connection(asyncio.Transport):
    """A transport that is only closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def close(self) -> None:
        self.closed.set()


class Answer:
    """What an exchange sends."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.padded = asyncio.Event()
        self.connection = Connection()
        scope = {"type": "http", "extensions": {"voxtral.wire": Wire(self.connection)}}
        self.exchange = Exchange(scope, self._receive, self._send)

    @property
    def start(self) -> Message:
        [start] = [message for message in self.messages if message["type"] == "http.response.start"]
        return start

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def _send(self, message: Message) -> None:
        self.messages.append(message)
        if self.body.count(b" ") >= 3:
            self.padded.set()

    async def _receive(self) -> Message:
        await self.connection.closed.wait()
        return {"type": "http.disconnect"}


def in_openai(error: VoxtralError) -> dict[str, Any]:
    return OPENAI.error_body(error)


async def failing(answer: Answer, every_s: float, failure: Exception) -> None:
    """An answer that fails; after white space, where that comes soon."""
    async with PaddedReply.of(answer.exchange, every_s, in_openai) as reply:
        reply.begin_padding()
        if every_s == SOON_S:
            await answer.padded.wait()
        raise failure


async def test_answer_that_takes_long_begins_with_white_space() -> None:
    answer = Answer()
    async with PaddedReply.of(answer.exchange, SOON_S, in_openai) as reply:
        reply.begin_padding()
        await answer.padded.wait()
        await reply.send(JSONResponse({"text": "Hello."}))
    assert (answer.start["status"], dict(answer.start["headers"])[b"content-type"]) == (200, b"application/json")
    assert answer.body.startswith(b"   ")
    assert answer.body.lstrip() == b'{"text":"Hello."}'
    assert [message["more_body"] for message in answer.messages[-2:]] == [True, False]


@pytest.mark.parametrize("every_s", [NEVER_S, 0])
async def test_answer_in_time_is_not_padded(every_s: float) -> None:
    answer = Answer()
    async with PaddedReply.of(answer.exchange, every_s, in_openai) as reply:
        reply.begin_padding()
        await reply.send(JSONResponse({}, 201))
    assert (answer.start["status"], answer.body) == (201, b"{}")
    assert (b"content-length", b"2") in answer.start["headers"]


async def test_error_after_white_space_is_the_body() -> None:
    answer = Answer()
    with pytest.raises(ClientDisconnect):
        await failing(answer, SOON_S, BROKEN)
    assert answer.start["status"] == 200
    assert answer.body.lstrip() == refusal(BROKEN, OPENAI).body
    assert answer.messages[-1]["more_body"], "no client takes it for a whole answer"
    assert answer.connection.closed.is_set()


async def test_error_of_ours_after_white_space_is_an_incident() -> None:
    answer = Answer()
    with pytest.raises(ClientDisconnect):
        await failing(answer, SOON_S, ZeroDivisionError("secret"))
    assert b"internal_error" in answer.body
    assert b"secret" not in answer.body


async def test_error_before_white_space_keeps_its_status() -> None:
    answer = Answer()
    with pytest.raises(ModelUnavailableError):
        await failing(answer, NEVER_S, BROKEN)
    assert not answer.messages


async def test_client_that_leaves_is_told_nothing() -> None:
    answer = Answer()
    with pytest.raises(ClientDisconnect):
        await failing(answer, SOON_S, ClientDisconnect())
    assert not answer.body.strip()
