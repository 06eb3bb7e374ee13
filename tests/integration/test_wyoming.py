"""The Wyoming protocol's own client, as Home Assistant uses it, against a running service."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info

from tests.command import run
from tests.integration.native_clients import tone
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack

TIMEOUT_S = limit_s(30.0)
PCM = tone(2.0)


@asynccontextmanager
async def connected(stack: Stack) -> AsyncIterator[AsyncTcpClient]:
    async with (
        asyncio.timeout(TIMEOUT_S),
        AsyncTcpClient("127.0.0.1", stack.settings.wyoming.port) as client,
    ):
        yield client


async def transcribed(client: AsyncTcpClient, pcm: bytes = PCM, **options: str) -> list[Event]:
    """All events from the start of a recording to its last one, or to the end of the connection."""
    await client.write_event(Transcribe(**options).event())  # type: ignore[arg-type]
    await client.write_event(AudioStart(16_000, 2, 1).event())
    for start in range(0, len(pcm), 2048):
        await client.write_event(AudioChunk(16_000, 2, 1, pcm[start : start + 2048]).event())
    await client.write_event(AudioStop().event())
    events = []
    while (event := await client.read_event()) is not None:
        events.append(event)
        if event.type == "transcript-stop":
            break
    return events


def test_doctor_recognises_its_port(stack: Stack) -> None:
    assert "✓ Port of wyoming" in run(stack, "doctor").stdout


async def test_recordings_are_transcribed_in_turn(stack: Stack) -> None:
    async with connected(stack) as client:
        await client.write_event(Describe().event())
        described = await client.read_event()
        assert described is not None
        [program] = Info.from_event(described).asr
        assert "echo" in [model.name for model in program.models]
        for _ in range(2):
            events = await transcribed(client, language="en", name=program.models[0].name)
            assert (events[0].type, events[-1].type) == ("transcript-start", "transcript-stop")
            transcript = Transcript.from_event(events[-2])
            assert transcript.text
            chunks = [TranscriptChunk.from_event(event).text for event in events if event.type == "transcript-chunk"]
            assert "".join(chunks) == transcript.text


@pytest.mark.parametrize(
    ("options", "code"), [({"name": "nothing"}, "invalid_field"), ({"language": "?"}, "invalid_field")]
)
async def test_an_error_ends_the_connection(stack: Stack, options: dict[str, str], code: str) -> None:
    async with connected(stack) as client:
        events = await transcribed(client, tone(0.1), **options)
    assert [event.type for event in events] == ["error"]
    assert events[0].data["code"] == code


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b'{"type": "a", "payload_length": 99999999}\n', b"\0" * 70_000]
)
def test_other_bytes_get_an_error_event(stack: Stack, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", stack.settings.wyoming.port), timeout=TIMEOUT_S) as client:
        client.sendall(sent)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b'{"type":"error"')


async def test_a_client_that_leaves_frees_its_slot(keyed_stack: Stack, key_list: KeyList) -> None:

    async with connected(keyed_stack) as client:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        assert (await client.read_event()) == Event("transcript-start")
    await until_free(keyed_stack)


async def until_free(stack: Stack) -> None:
    """Wait until a recording is transcribed, because no other client has a session."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            async with connected(stack) as client:
                events = await transcribed(client, tone(0.1))
            if events[-1].type == "transcript-stop":
                return
            assert events[-1].data["code"] == "rate_limited"


async def test_clients_use_the_key_of_the_protocol(keyed_stack: Stack, key_list: KeyList) -> None:

    await until_free(keyed_stack)
    async with connected(keyed_stack) as client, connected(keyed_stack) as other:
        await client.write_event(AudioStart(16_000, 2, 1).event())
        await client.read_event()
        events = await transcribed(other, tone(0.1))
        assert (events[-1].type, events[-1].data["code"]) == ("error", "rate_limited")
