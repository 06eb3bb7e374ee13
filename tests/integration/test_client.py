"""The Python client against a real service."""

import asyncio
import contextlib
import io
import wave
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from frontend.client import (
    Done,
    Final,
    LiveSession,
    Partial,
    ServerError,
    SessionEvent,
    TranscriptionClient,
    UnreachableError,
)
from tests.bench.scoring import normalised
from tests.limits import limit_s
from tests.recorders import webm
from tests.speech import SENTENCES, noise, synthesise
from tests.stack import Stack, free_ports

SECOND = bytes(32_000)
"""One second of s16le silence at 16 kHz; the echo engine counts it like any other."""


def wav(duration_s: float) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(round(duration_s * 32_000)))
    return content.getvalue()


async def events_of(session: LiveSession) -> list[SessionEvent]:
    async with asyncio.timeout(limit_s(30)):
        return [event async for event in session]


def finals_in(events: list[SessionEvent]) -> list[Final]:
    return [event for event in events if isinstance(event, Final)]


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[TranscriptionClient]:
    async with TranscriptionClient(stack.ws_url) as client:
        yield client


async def test_live_session_ends_with_finals_for_all_audio(client: TranscriptionClient) -> None:
    async with client.live() as session:
        for _ in range(3):
            await session.send(SECOND)
        await session.stop()
        events = await events_of(session)

    assert (session.ready.model, bool(session.session_id)) == ("echo", True)
    done = events[-1]
    assert isinstance(done, Done)
    assert done.duration_s == pytest.approx(3.0)
    finals = finals_in(events)
    assert (finals[0].start_s, finals[-1].end_s) == (0.0, 3.0)
    assert done.text == " ".join(final.text for final in finals)
    assert finals[0].words


async def test_live_session_commit_ends_the_segment(client: TranscriptionClient) -> None:
    async with client.live() as session:
        await session.send(SECOND)
        await session.commit()
        async with asyncio.timeout(limit_s(10)):
            while not isinstance(event := await anext(session), Final):
                pass
        assert event.end_s == 1.0
        await session.send(SECOND)
        await session.stop()
        (final,) = finals_in(await events_of(session))

    assert (final.segment, final.start_s, final.end_s) == (1, 1.0, 2.0)


async def test_live_session_without_partials_has_none(client: TranscriptionClient) -> None:
    async with client.live(partials=False, words=False) as session:
        await session.send(SECOND)
        await session.stop()
        events = await events_of(session)

    assert not [event for event in events if isinstance(event, Partial)]
    assert [final.words for final in finals_in(events)] == [()]


async def test_live_session_takes_other_encodings(client: TranscriptionClient) -> None:
    async with client.live(encoding="pcmu", sample_rate=8000) as session:
        await session.send(bytes(16_000))
        await session.stop()
        (final,) = finals_in(await events_of(session))

    assert final.end_s == 2.0


async def test_live_session_takes_a_container(client: TranscriptionClient) -> None:
    async with client.live(encoding="container") as session:
        for piece in webm(noise(3.0)):  # of 16 kHz; one second of 48 kHz
            await session.send(piece)
        await session.stop()
        events = [event async for event in session]
    assert isinstance(events[-1], Done)
    assert events[-1].duration_s == pytest.approx(1.0, abs=0.1)


async def test_live_session_can_be_read_after_ten_minutes_were_sent(client: TranscriptionClient) -> None:
    async with client.live() as session, asyncio.timeout(limit_s(60)):
        for _ in range(600):
            await session.send(SECOND)
        await session.stop()
        events = [event async for event in session]

    assert finals_in(events)[-1].end_s == 600.0
    # Events that the viewer did not read in time: for a finished segment, only the final.
    assert {type(event) for event in events[:10]} == {Final}


async def test_live_sessions_of_one_client_are_independent(client: TranscriptionClient) -> None:
    async def seconds(count: int) -> float:
        async with client.live() as session:
            for _ in range(count):
                await session.send(SECOND)
            await session.stop()
            return finals_in(await events_of(session))[-1].end_s

    assert await asyncio.gather(seconds(1), seconds(2), seconds(3)) == [1.0, 2.0, 3.0]


async def test_live_session_that_is_refused_says_why(client: TranscriptionClient) -> None:
    with pytest.raises(ServerError, match="sample_rate") as raised:
        async with client.live(sample_rate=1):
            pass

    assert raised.value.code == "invalid_field"


async def test_live_session_takes_the_options_of_its_model(client: TranscriptionClient) -> None:
    async with client.live(model="Echo", max_new_tokens=9, temperature=0.5, top_p=0.9) as session:
        assert session.ready.model == "echo"
        await session.configure(temperature=None, top_p=1, max_new_tokens=10)
        await session.send(SECOND)
        await session.stop()
        assert finals_in(await events_of(session))

    assert (await client.transcribe(wav(1), model="echo", temperature=0, top_p=1, max_new_tokens=1)).text


async def test_client_is_told_which_models_run(client: TranscriptionClient) -> None:
    with pytest.raises(ServerError, match=r"model is 'other'; allowed: auto, echo\."):
        await client.transcribe(wav(1), model="other")
    with pytest.raises(ServerError, match=r"model is 'other'; allowed: auto, echo\."):
        async with client.live(model="other"):
            pass


async def test_live_session_continues_after_a_refused_configure(client: TranscriptionClient) -> None:
    async with client.live() as session:
        await session.configure(language="no such language")
        with pytest.raises(ServerError) as raised:
            await events_of(session)
        assert raised.value.code == "invalid_field"
        await session.send(SECOND)
        await session.stop()
        assert finals_in(await events_of(session))


async def test_configure_rejects_a_value_that_json_cannot_hold_and_the_session_continues(
    client: TranscriptionClient,
) -> None:
    async with client.live(redact_terms=deque(["Anna"])) as session:
        with pytest.raises(TypeError, match="complex"):
            await session.configure(temperature=1j)  # type: ignore[arg-type]
        await session.configure(keyterms=deque(["Anna"]), redact_terms=None)
        await session.send(SECOND)
        await session.stop()
        assert finals_in(await events_of(session))


async def test_live_session_that_is_left_is_dropped_on_the_server(stack: Stack) -> None:
    async with TranscriptionClient(stack.ws_url) as client:
        for _ in range(stack.settings.model.slots + 4):
            async with client.live() as session:
                await session.send(SECOND)


async def test_live_session_can_be_cancelled(client: TranscriptionClient) -> None:
    started = asyncio.Event()

    async def endless() -> None:
        async with client.live() as session:
            started.set()
            async for _ in session:
                pass

    task = asyncio.create_task(endless())
    await started.wait()
    task.cancel()

    async with asyncio.timeout(limit_s(5)):
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("duration_s", [0.5, 2.0])
async def test_transcribe_answers_for_a_file(client: TranscriptionClient, duration_s: float) -> None:
    reply = await client.transcribe(wav(duration_s))

    assert reply.mode == "transcribe"
    assert reply.text
    assert reply.audio_duration_ms == pytest.approx(duration_s * 1000)
    assert reply.processing_time_ms > 0


async def test_transcribe_takes_raw_samples(client: TranscriptionClient) -> None:
    reply = await client.transcribe(bytes(16_000), encoding="pcma", sample_rate=8000, mode="understand", prompt="What?")

    assert (reply.mode, reply.audio_duration_ms) == ("understand", pytest.approx(2000))


async def test_transcribe_answers_each_of_several_at_once(client: TranscriptionClient) -> None:
    replies = await asyncio.gather(*(client.transcribe(wav(count)) for count in (1, 2, 3)))

    assert [reply.audio_duration_ms for reply in replies] == pytest.approx([1000, 2000, 3000])


async def test_transcribe_raises_the_servers_error_and_works_on(client: TranscriptionClient) -> None:
    with pytest.raises(ServerError) as raised:
        await client.transcribe(b"RIFF....WAVE")
    assert raised.value.code in {"invalid_audio", "unsupported_audio"}

    assert (await client.transcribe(wav(1))).text


async def test_transcribe_rejects_the_path_of_a_file_that_is_no_recording(
    client: TranscriptionClient, tmp_path: Path
) -> None:
    (tmp_path / "notes.wav").write_text("These are only notes.\n" * 50, encoding="utf-8")

    with pytest.raises(ServerError) as caught:
        await client.transcribe(tmp_path / "notes.wav")

    assert caught.value.code == "unsupported_audio"


async def test_transcribe_reports_a_message_that_is_too_large(stack: Stack) -> None:
    async with TranscriptionClient(stack.ws_url) as client:
        with pytest.raises(ServerError) as raised:
            await client.transcribe(bytes(stack.settings.server.max_message_bytes))
        assert raised.value.code == "message_too_large"

        assert (await client.transcribe(wav(1))).text


async def test_transcribe_that_was_cancelled_does_not_mix_up_answers(client: TranscriptionClient) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.002):
            await client.transcribe(wav(30))

    assert (await client.transcribe(wav(1))).audio_duration_ms == pytest.approx(1000)


async def test_ping_measures_the_round_trip(client: TranscriptionClient) -> None:
    assert 0 < await client.ping() < 5000


async def test_client_names_an_address_that_does_not_answer() -> None:
    (port,) = free_ports(1)

    async with TranscriptionClient(f"ws://127.0.0.1:{port}") as client:
        with pytest.raises(UnreachableError, match=str(port)):
            await client.transcribe(wav(1))
        with pytest.raises(UnreachableError, match="connection refused"):
            async with client.live():
                pass


async def test_client_does_not_take_a_closed_connection_for_another_protocol() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with TranscriptionClient(f"ws://127.0.0.1:{port}") as client:
            with pytest.raises(UnreachableError, match="it closed the connection or speaks another protocol; if the"):
                await client.ping()


async def test_client_says_when_another_service_answers(stack: Stack) -> None:
    async with TranscriptionClient(stack.health_url.replace("http", "ws")) as client:
        with pytest.raises(UnreachableError):
            await client.ping()


async def test_live_session_hears_speech(whisper_stack: Stack) -> None:
    pcm = (synthesise(SENTENCES[0], seed=1) * 32767).astype("<i2").tobytes()

    async with TranscriptionClient(whisper_stack.ws_url) as client, client.live(language="en") as session:
        await session.send(pcm)
        await session.stop()
        finals = finals_in(await events_of(session))

    text = " ".join(final.text for final in finals)
    assert "station at 7" in " ".join(normalised(text))
    assert [word.text.strip() for final in finals for word in final.words] == text.split()
    starts = [word.start_s for final in finals for word in final.words]
    assert starts == sorted(starts)
    assert np.isclose(finals[-1].end_s, len(pcm) / 32_000, atol=1.0)
