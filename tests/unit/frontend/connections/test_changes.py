"""Messages about a session in a moment in which no worker of its model reports. The session continues."""

import asyncio
import json

import pytest

from frontend.protocols.deepgram.query import listen
from frontend.protocols.deepgram.realtime import DeepgramRealtime
from frontend.protocols.dialect import Dialect
from frontend.protocols.native.realtime import NativeRealtime
from frontend.protocols.openai.realtime import OpenAIRealtime
from frontend.protocols.vllm import VllmRealtime
from frontend.sessions.placement import CACHE_S
from shared.config.settings import Settings
from tests.unit.clock import clocked
from tests.unit.frontend.connections.test_connection import LEAVES, SECOND, Served, appended, until

KEEP_ALIVE = '{"type": "KeepAlive"}'
STEREO = '{"type": "configure", "channels": 2}'
VLLM_UPDATE = '{"type": "session.update", "model": "echo"}'


def language_update(language: str) -> str:
    inputs = {"transcription": {"model": "echo", "language": language}}
    return json.dumps({"type": "session.update", "session": {"type": "transcription", "audio": {"input": inputs}}})


async def opened(served: Served, dialect: Dialect, *messages: str | bytes) -> asyncio.Task[None]:
    """A connection whose session has audio, after which no worker reports any more."""
    serving = asyncio.create_task(served.connections.serve(served.transport, dialect))
    served.transport.say(*messages)
    await until(lambda: served.gateway.sessions and served.bus.held[served.session_id].samples)
    served.transport.sent.clear()
    served.bus.slots = 0
    await asyncio.sleep(CACHE_S)  # the service asks for them again
    return serving


@clocked
async def test_keep_alive_is_input_and_needs_no_worker() -> None:
    served = Served()
    dialect = DeepgramRealtime("id", listen({"encoding": ["linear16"], "sample_rate": ["16000"]}))
    serving = await opened(served, dialect, SECOND)
    served.transport.say(KEEP_ALIVE, LEAVES)
    held = served.bus.held[served.session_id]
    await serving
    assert (held.controls[0], served.transport.sent) == ("configure", [])


@clocked
async def test_new_format_of_audio_needs_no_worker() -> None:
    served = Served()
    serving = await opened(served, NativeRealtime(Settings().audio), '{"type": "start"}', SECOND)
    served.transport.say(STEREO, SECOND, LEAVES)
    held = served.bus.held[served.session_id]
    await serving
    assert (held.samples, served.transport.sent) == (24_000, [])


@pytest.mark.parametrize("protocol", ["openai", "vllm"])
def test_update_is_rejected_and_the_session_continues(protocol: str) -> None:
    audio, more = appended("input_audio_buffer.append"), appended("input_audio_buffer.append")

    @clocked
    async def run() -> None:
        served = Served()
        if protocol == "openai":
            serving = await opened(served, OpenAIRealtime(), language_update("en"), audio)
            served.transport.say(language_update("de"), more)
        else:
            serving = await opened(served, VllmRealtime(), VLLM_UPDATE, audio)
            served.transport.say(VLLM_UPDATE, more)
        held = served.bus.held[served.session_id]
        first = held.samples
        await until(lambda: held.samples > first)
        [error] = served.transport.sent
        assert "No worker" in json.dumps(error)
        served.transport.say(LEAVES)
        await serving

    run()
