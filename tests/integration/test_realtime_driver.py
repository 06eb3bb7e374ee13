"""The driver of dialects where no real socket leads, over a transport in memory and a real gateway."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from frontend.connections.dialects import serve_dialect
from frontend.protocols.mistral.realtime import MistralRealtime
from frontend.protocols.openai.realtime import OpenAIRealtime
from frontend.sessions.gateway import Gateway
from shared.config import Settings
from tests.integration.native_clients import base64_of, tone
from tests.integration.test_connection import BrokenTransport
from tests.limits import limit_s
from tests.stack import Stack

TIMEOUT_S = limit_s(10)
AUDIO = json.dumps({"type": "input_audio.append", "audio": base64_of(tone(1))})
FLUSH = '{"type": "input_audio.flush"}'


@pytest.fixture
async def gateway(stack: Stack) -> AsyncIterator[Gateway]:
    async with Gateway.running(stack.settings, "test") as running:
        yield running


async def serve(transport: BrokenTransport, gateway: Gateway, settings: Settings) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await serve_dialect(transport, MistralRealtime("r1", "auto"), gateway, settings)


async def test_a_failure_of_ours_is_told_by_its_incident_alone(stack: Stack, gateway: Gateway) -> None:
    transport = BrokenTransport(AUDIO, RuntimeError("the inside of the server"), None)
    with capture_logs() as lines:
        await serve(transport, gateway, stack.settings)
    [incident] = [line["incident"] for line in lines if line["event"] == "internal_error" and line["exc_info"]]
    error = transport.sent[-1]["error"]
    assert (error["code"], transport.closed_with) == (500, (1000, "internal_error"))
    assert incident in error["message"]
    assert "inside" not in json.dumps(transport.sent)
    assert gateway.tally.report().sessions == 0


async def test_a_failure_to_tell_ends_the_session(stack: Stack, gateway: Gateway) -> None:
    transport = BrokenTransport(AUDIO, FLUSH, breaks_on="transcription.done")
    with capture_logs():
        await serve(transport, gateway, stack.settings)
    assert transport.sent[-1]["error"]["code"] == 500
    assert gateway.tally.report().sessions == 0


async def test_a_cancelled_connection_ends_its_session_and_closes(stack: Stack, gateway: Gateway) -> None:
    transport = BrokenTransport(AUDIO, FLUSH)
    serving = asyncio.create_task(serve(transport, gateway, stack.settings))
    await transport.has_sent("transcription.done")
    assert gateway.tally.report().sessions == 1
    serving.cancel()
    await serving
    assert transport.closed_with == (1012, "server stops")
    assert gateway.tally.report().sessions == 0


async def test_a_silent_client_is_told_and_let_go(stack: Stack, gateway: Gateway) -> None:
    patience = stack.settings.session.model_copy(update={"idle_timeout_s": 0.2})
    transport = BrokenTransport(AUDIO)
    await serve(transport, gateway, stack.settings.model_copy(update={"session": patience}))
    assert transport.sent[-1]["error"]["code"] == 408
    assert transport.closed_with == (1000, "idle_timeout")
    assert gateway.tally.report().sessions == 0


async def test_a_silent_client_of_openai_stays_as_long_as_it_would_there(stack: Stack, gateway: Gateway) -> None:
    patience = stack.settings.session.model_copy(update={"idle_timeout_s": 0.2})
    impatient = stack.settings.model_copy(update={"session": patience})
    appended = json.dumps({"type": "input_audio_buffer.append", "audio": base64_of(tone(1))})
    silent = BrokenTransport(appended)
    staying = asyncio.create_task(serve_dialect(silent, OpenAIRealtime(), gateway, impatient))
    await serve(BrokenTransport(AUDIO), gateway, impatient)  # a client of Mistral's API is let go meanwhile
    assert not staying.done()
    assert [message["type"] for message in silent.sent] == ["session.created", "input_audio_buffer.speech_started"]
    staying.cancel()
    await staying


async def test_one_connection_too_many_is_turned_away(stack: Stack, gateway: Gateway) -> None:
    server = stack.settings.server.model_copy(update={"max_connections": 1})
    transport = BrokenTransport(None)
    with gateway.tally.connection():
        await serve(transport, gateway, stack.settings.model_copy(update={"server": server}))
    assert [message["type"] for message in transport.sent] == ["error"]
    assert transport.sent[0]["error"]["code"] == 503
