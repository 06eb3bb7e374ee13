"""The driver of dialects where no real socket leads, over a transport in memory and a real gateway."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from frontend.process import FrontendProcess
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.protocols.openai.realtime import OpenAIRealtime
from shared.config.settings import Settings
from tests.integration.native_clients import base64_of, tone
from tests.integration.test_connection import BrokenTransport
from tests.limits import limit_s
from tests.stack import Stack

TIMEOUT_S = limit_s(10)
AUDIO = json.dumps({"type": "input_audio.append", "audio": base64_of(tone(1))})
FLUSH = '{"type": "input_audio.flush"}'


@pytest.fixture
async def frontend(stack: Stack) -> AsyncIterator[FrontendProcess]:
    async with FrontendProcess.running(stack.settings, "test") as running:
        yield running


async def serve(transport: BrokenTransport, frontend: FrontendProcess) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await frontend.connections.serve(transport, MistralRealtime("r1", "auto"))


def impatient(settings: Settings) -> Settings:
    return settings.model_copy(update={"session": settings.session.model_copy(update={"idle_timeout_s": 0.2})})


async def test_a_failure_of_ours_is_told_by_its_incident_alone(frontend: FrontendProcess) -> None:
    transport = BrokenTransport(AUDIO, RuntimeError("the inside of the server"), None)
    with capture_logs() as lines:
        await serve(transport, frontend)
    [incident] = [line["incident"] for line in lines if line["event"] == "internal_error" and line["exc_info"]]
    error = transport.sent[-1]["error"]
    assert (error["code"], transport.closed_with) == (500, (1000, "internal_error"))
    assert incident in error["message"]
    assert "inside" not in json.dumps(transport.sent)
    assert len(frontend.gateway.sessions) == 0


async def test_a_failure_to_tell_ends_the_session(frontend: FrontendProcess) -> None:
    transport = BrokenTransport(AUDIO, FLUSH, breaks_on="transcription.done")
    with capture_logs():
        await serve(transport, frontend)
    assert transport.sent[-1]["error"]["code"] == 500
    assert len(frontend.gateway.sessions) == 0


async def test_a_cancelled_connection_ends_its_session_and_closes(frontend: FrontendProcess) -> None:
    transport = BrokenTransport(AUDIO, FLUSH)
    serving = asyncio.create_task(serve(transport, frontend))
    await transport.has_sent("transcription.done")
    assert len(frontend.gateway.sessions) == 1
    serving.cancel()
    await serving
    assert transport.closed_with == (1012, "server stops")
    assert len(frontend.gateway.sessions) == 0


async def test_a_silent_client_is_told_and_let_go(stack: Stack) -> None:
    transport = BrokenTransport(AUDIO)
    async with FrontendProcess.running(impatient(stack.settings), "test") as frontend:
        await serve(transport, frontend)
        assert len(frontend.gateway.sessions) == 0
    assert transport.sent[-1]["error"]["code"] == 408
    assert transport.closed_with == (1000, "idle_timeout")


async def test_a_silent_client_of_openai_stays_as_long_as_it_would_there(stack: Stack) -> None:
    appended = json.dumps({"type": "input_audio_buffer.append", "audio": base64_of(tone(1))})
    silent = BrokenTransport(appended)
    async with FrontendProcess.running(impatient(stack.settings), "test") as frontend:
        staying = asyncio.create_task(frontend.connections.serve(silent, OpenAIRealtime()))
        await serve(BrokenTransport(AUDIO), frontend)  # a client of Mistral's API is let go meanwhile
        assert not staying.done()
        assert [message["type"] for message in silent.sent] == ["session.created", "input_audio_buffer.speech_started"]
        staying.cancel()
        await staying


async def test_one_connection_too_many_is_turned_away(stack: Stack) -> None:
    server = stack.settings.server.model_copy(update={"max_connections": 1})
    transport = BrokenTransport(None)
    async with FrontendProcess.running(stack.settings.model_copy(update={"server": server}), "test") as frontend:
        with frontend.tally.connection():
            await serve(transport, frontend)
    assert [message["type"] for message in transport.sent] == ["error"]
    assert transport.sent[0]["error"]["code"] == 503
