"""Mistral's own SDK, unchanged but for its server's address, against a running service."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import jiwer
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mistralai.client import Mistral
from mistralai.client.models import AudioFormat, RealtimeTranscriptionError, TranscriptionStreamDone
from mistralai.extra.exceptions import RealtimeTranscriptionWSError
from mistralai.extra.realtime import RealtimeConnection, RealtimeTranscription, UnknownRealtimeEvent
from websockets.sync.client import ClientConnection, connect

from tests.integration.native_clients import base64_of, open_client, tell, tone, until
from tests.integration.workers import vanish
from tests.limits import limit_s
from tests.speech import SENTENCES, conversation
from tests.stack import Stack, wait_until

TIMEOUT_S = limit_s(30.0)
SPOKEN = SENTENCES[:1]


def realtime(stack: Stack) -> RealtimeTranscription:
    return Mistral(api_key="unused", server_url=stack.web_url).audio.realtime


async def chunks(pcm: bytes, chunk_bytes: int = 16_000) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), chunk_bytes):
        yield pcm[start : start + chunk_bytes]


async def heard(stack: Stack, pcm: bytes, model: str = "auto", **fields: Any) -> list[Any]:
    """All events of one `transcribe_stream`."""
    async with asyncio.timeout(TIMEOUT_S):
        return [event async for event in realtime(stack).transcribe_stream(chunks(pcm), model, **fields)]


async def next_of(connection: RealtimeConnection, kind: str) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            event = json.loads(await connection._websocket.recv())
            if event["type"] == kind:
                return event


def words(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum() or character.isspace())


async def test_a_stream_is_transcribed_as_on_the_native_path(whisper_stack: Stack) -> None:
    pcm = (conversation(sentences=SPOKEN) * 32767).astype("<i2").tobytes()
    events = await heard(whisper_stack, pcm, language="en", target_streaming_delay_ms=480)
    assert not [event for event in events if isinstance(event, UnknownRealtimeEvent | RealtimeTranscriptionError)]
    assert [event.type for event in events[:2]] == ["session.created", "session.updated"]
    assert events[1].session.target_streaming_delay_ms == 480
    done = events[-1]
    assert isinstance(done, TranscriptionStreamDone)
    assert done.model == "whisper-base"
    assert done.language == "en"
    assert done.usage.prompt_audio_seconds == np.ceil(len(pcm) / 32_000)
    assert done.text == "".join(event.text for event in events if event.type == "transcription.text.delta")
    segments = [event for event in events if event.type == "transcription.segment"]
    assert [segment.text for segment in segments] == [segment.text for segment in done.segments]

    client = open_client(whisper_stack, "web")
    tell(client, type="start", language="en")
    client.send_audio(pcm)
    tell(client, type="stop")
    native = until(client, "done")[-1]["text"]
    client.close()
    reference = words(" ".join(SPOKEN))
    native_errors = jiwer.wer(reference, words(native))
    assert jiwer.wer(reference, words(done.text)) <= native_errors + 0.01


async def test_text_comes_while_its_speaker_speaks(whisper_stack: Stack) -> None:
    pcm = chunks((conversation(sentences=SPOKEN) * 32767).astype("<i2").tobytes())
    async with await realtime(whisper_stack).connect("whisper-1", language="en") as connection:
        coming = asyncio.create_task(next_of(connection, "transcription.text.delta"))
        while not coming.done():
            await connection.send_audio(await anext(pcm))  # raises when all of it has been said
            await asyncio.wait((coming,), timeout=0.5)
        first = (await coming)["text"]
        async for chunk in pcm:
            await connection.send_audio(chunk)
        await connection.end_audio()
        done = await next_of(connection, "transcription.done")
    assert first  # it came before all audio was sent
    assert done["text"].startswith(first)


@pytest.mark.parametrize(
    ("encoding", "rate_hz", "dtype", "scale"),
    [("pcm_f16le", 96_000, "<f2", 1.0), ("pcm_s32le", 8_000, "<i4", 2**30), ("pcm_mulaw", 8_000, "u1", 100)],
)
async def test_every_format_of_the_sdk_is_heard(
    stack: Stack, encoding: str, rate_hz: int, dtype: str, scale: float
) -> None:
    pcm = (np.full(rate_hz, 0.1) * scale).astype(dtype).tobytes()
    events = await heard(stack, pcm, audio_format=AudioFormat(encoding=encoding, sample_rate=rate_hz))
    assert events[1].session.audio_format.encoding == encoding
    # The flush that the SDK sends at the end leaves up to 30 ms in the resampler for a segment of their own.
    assert sum(float(part) for part in events[-1].text.replace("seconds", "").split()) == pytest.approx(1)


async def test_flush_brings_the_text_and_the_session_goes_on(stack: Stack) -> None:
    async with await realtime(stack).connect("echo") as connection:
        await connection.send_audio(tone(1))
        await connection.flush_audio()
        assert (await next_of(connection, "transcription.done"))["text"] == "1 seconds"
        await connection.send_audio(tone(2))
        await connection.flush_audio()
        assert (await next_of(connection, "transcription.done"))["text"] == "1 seconds 2 seconds"
        await connection.end_audio()
        done = await next_of(connection, "transcription.done")
        assert (done["text"], done["usage"]["prompt_audio_seconds"]) == ("1 seconds 2 seconds", 3)


async def test_wrong_updates_are_told_and_survived(stack: Stack) -> None:
    async with await realtime(stack).connect("echo") as connection:
        await connection.update_session(diarize=True, speaker_references={"Ann": "no base64"})
        assert (
            "speaker_references is 'the voice of Ann'; allowed"
            in (await next_of(connection, "error"))["error"]["message"]
        )
        await connection.update_session(AudioFormat(encoding="opus", sample_rate=16_000))
        assert "pcm_s16le" in (await next_of(connection, "error"))["error"]["message"]
        await connection.update_session(target_streaming_delay_ms=100)
        updated = await next_of(connection, "session.updated")
        assert updated["session"]["target_streaming_delay_ms"] == 160
        await connection.send_audio(tone(1))
        await connection.update_session(language="en")
        assert "after audio has started" in (await next_of(connection, "error"))["error"]["message"]
        await connection.end_audio()
        assert (await next_of(connection, "transcription.done"))["text"] == "1 seconds"


async def test_an_update_that_the_model_cannot_serve_is_refused(whisper_stack: Stack) -> None:
    async with await realtime(whisper_stack).connect("whisper-1") as connection:
        await connection.update_session(language="xx")
        assert "allowed: af, am" in (await next_of(connection, "error"))["error"]["message"]
        await connection.end_audio()
        assert (await next_of(connection, "transcription.done"))["text"] == ""


async def test_a_model_that_does_not_run_is_refused_before_the_session(stack: Stack) -> None:
    with pytest.raises(RealtimeTranscriptionWSError, match="allowed: auto, echo") as refused:
        await realtime(stack).connect("voxtral-mini-transcribe-realtime-2602")
    assert refused.value.code == 400


async def test_audio_behind_the_end_is_refused(stack: Stack) -> None:
    async with await realtime(stack).connect("echo") as connection:
        await connection.end_audio()
        await next_of(connection, "transcription.done")
        await connection.send_audio(tone(0.1))
        assert (await next_of(connection, "error"))["error"]["code"] == 400


async def test_a_busy_service_says_so_and_what_the_client_still_sends_does_not_fail(whisper_stack: Stack) -> None:
    slots = whisper_stack.settings.model.slots
    async with contextlib.AsyncExitStack() as taken:
        for _ in range(slots):
            one = await taken.enter_async_context(await realtime(whisper_stack).connect("auto"))
            await one.send_audio(bytes(3200))
        await asyncio.to_thread(wait_until, lambda: len(whisper_stack.slots_held()) == slots, "every slot is taken")
        connection = await realtime(whisper_stack).connect("auto")
        await connection.send_audio(bytes(3200))
        assert (await next_of(connection, "error"))["error"]["code"] == 503
        for _ in range(3):
            await connection.send_audio(bytes(3200))
        assert [event async for event in connection.events()][1:] == [], "closed in good order"
    await asyncio.to_thread(wait_until, lambda: not whisper_stack.slots_held(), "every slot is free")


def test_a_client_that_vanishes_frees_its_slot(stack: Stack) -> None:
    with connect(f"{url(stack)}&viewer_token=true") as connection:
        append(connection, tone(4))
        while (told := json.loads(connection.recv(TIMEOUT_S)))["type"] != "voxtral.session":
            pass
        vanish(stack, connection, told["session_id"], timeout_s=5.0)


@pytest.fixture(scope="module")
def hardy(stack: Stack) -> Any:
    """One connection for all that is wrong."""
    with connect(url(stack), max_size=None) as connection:
        yield connection


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=50)
    | st.text(max_size=50)
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["session.update", "input_audio.append", "input_audio.flush"]) | st.text(max_size=5)},
        optional={
            "audio": st.sampled_from(["", "AA==", "AAAA", "?", "A"]) | st.integers(),
            "session": st.dictionaries(st.text(max_size=9), st.integers() | st.text(max_size=9), max_size=3),
        },
    ).map(json.dumps)
)
def test_no_message_ends_the_connection(hardy: ClientConnection, message: str | bytes) -> None:
    hardy.send(message)
    hardy.send('{"type": "are you there"}')
    while "are you there" not in (answer := json.loads(hardy.recv(TIMEOUT_S))).get("error", {}).get("message", ""):
        assert answer["type"] in ("error", "session.created", "session.updated") or "transcription" in answer["type"]


def url(stack: Stack) -> str:
    return f"{stack.web_url.replace('http', 'ws')}/v1/audio/transcriptions/realtime?model=echo"


def append(connection: ClientConnection, pcm: bytes) -> None:
    connection.send(json.dumps({"type": "input_audio.append", "audio": base64_of(pcm)}))
