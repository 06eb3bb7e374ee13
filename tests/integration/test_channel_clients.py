"""Separate channels as clients meet them at every door of a running service."""

import asyncio
import base64
import io
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mistralai.client import Mistral
from openai import OpenAI
from websockets.sync.client import connect

from frontend.client import Done, Final, TranscriptionClient
from tests.command import run
from tests.integration.api_clients import post_form, request
from tests.integration.native_clients import FRONTENDS, ask, base64_of, open_client, tell, until
from tests.socket_messages import message_validator
from tests.speech import SENTENCES, silence, synthesise
from tests.stack import Stack

SEPARATE = {"channel_mode": "separate"}
FRAMES = np.tile(np.array([700, -300], "<i2"), (16_000, 1))
SECOND = FRAMES.tobytes()
"""Of two channels at 16 kHz."""


def wav(channels: int = 2, rate_hz: int = 8_000, duration_s: float = 1.0) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(np.full((round(rate_hz * duration_s), channels), 500, "<i2").tobytes())
    return file.getvalue()


def finals(events: list[dict[str, Any]]) -> list[tuple[Any, str]]:
    return sorted((event.get("channel"), event["text"]) for event in events if event["type"] == "final")


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_live_channels_are_transcribed_separately(stack: Stack, frontend: str) -> None:
    client = open_client(stack, frontend)
    ready = ask(client, type="start", channels=2, **SEPARATE)
    assert ready["type"] == "ready", ready
    client.send_audio(SECOND[:3])
    client.send_audio(SECOND[3:])
    tell(client, type="commit")
    client.send_audio(SECOND)
    tell(client, type="stop")
    events = until(client, "done")
    assert finals(events) == [(0, "1 seconds"), (0, "1 seconds"), (1, "1 seconds"), (1, "1 seconds")]
    partials = [event for event in events if event["type"] == "partial"]
    assert {event["channel"] for event in partials} == {0, 1}
    assert (events[-1]["duration"], "channel" in events[-1]) == (2.0, False)
    client.close()


def test_turns_name_the_channel_that_was_heard(stack: Stack) -> None:
    spoken = np.concatenate([silence(0.3), synthesise(SENTENCES[15]), silence(1.5)])
    client = open_client(stack, "websocket")
    assert ask(client, type="start", channels=2, turn_detection={"type": "pause"}, **SEPARATE)["type"] == "ready"
    client.send_audio((np.stack([np.zeros_like(spoken), spoken], axis=1) * 32767).astype("<i2").tobytes())
    tell(client, type="stop")
    turns = [event for event in until(client, "done") if event["type"] == "turn_ended"]
    client.close()
    assert [event["channel"] for event in turns] == [1]
    message_validator("turnEnded").validate(turns[0])


def test_live_container_has_tracks(stack: Stack) -> None:
    client = open_client(stack, "websocket")
    assert ask(client, type="start", encoding="container", channels=2, **SEPARATE)["type"] == "ready"
    client.send_audio(wav())
    tell(client, type="stop")
    assert finals(until(client, "done")) == [(0, "1 seconds"), (1, "1 seconds")]
    assert ask(client, type="start", encoding="container", channels=2, **SEPARATE)["type"] == "ready"
    client.send_audio(wav(channels=4))
    tell(client, type="stop")
    (error,) = [event for event in until(client, "error") if event["type"] == "error"]
    assert "4 channels; allowed with channel_mode separate: 1 to 2" in error["message"]
    client.close()


def test_session_with_channels_is_resumed_and_keeps_them(stack: Stack) -> None:
    first = open_client(stack, "websocket")
    ready = ask(first, type="start", channels=2, **SEPARATE)
    first.send_audio(SECOND)
    until(first, "partial")
    second = open_client(stack, "websocket")
    named = {name: ready[name] for name in ("session_id", "resume_token")}
    resumed = ask(second, type="resume", seq=0, **named)
    assert resumed["audio_received_samples"] == 16_000
    second.send_audio(SECOND)
    refused = [event for event in [ask(second, type="configure", channels=1)] if event["type"] == "error"]
    refused = refused or [event for event in until(second, "error") if event["type"] == "error"]
    assert "channels is 1; allowed: 2: the session keeps its tracks" in refused[0]["message"]
    tell(second, type="stop")
    events = until(second, "done")
    assert finals(events) == [(0, "2 seconds"), (1, "2 seconds")]
    transcript = f"/v1/sessions/{ready['session_id']}/transcript"
    documents = {
        form: request(stack, "GET", f"{transcript}.{form}?token={ready['viewer_token']}")[1].decode()
        for form in ("json", "txt", "srt", "vtt")
    }
    assert [one["channel"] for one in json.loads(documents["json"])["segments"]] == [0, 1]
    assert documents["txt"] == "Channel 0: 2 seconds\nChannel 1: 2 seconds\n"
    assert "Channel 1: 2 seconds" in documents["srt"]
    assert "<v Channel 1>2 seconds" in documents["vtt"]
    first.close()
    second.close()


def test_session_that_mixes_its_channels_is_not_resumed_as_another(stack: Stack) -> None:
    first, second = open_client(stack, "websocket"), open_client(stack, "websocket")
    ready = ask(first, type="start", channels=2)
    first.send_audio(SECOND)
    until(first, "partial")
    named = {name: ready[name] for name in ("session_id", "resume_token")}
    refused = ask(second, type="resume", seq=0, channels=2, **named, **SEPARATE)
    assert refused["message"].startswith("channel_mode is 'separate'; allowed: mix")
    assert ask(second, type="resume", seq=0, channels=2, **named)["type"] == "ready"
    second.send_audio(SECOND)
    tell(second, type="stop")
    assert finals(until(second, "done")) == [(None, "2 seconds")]
    first.close()
    second.close()


def test_one_shot_recordings(stack: Stack) -> None:
    client = open_client(stack, "websocket")
    for fields in ({"audio_data": base64_of(wav())}, {"audio_data": base64_of(SECOND), "channels": 2}):
        reply = ask(client, type="audio", **fields, **SEPARATE)
        assert (reply["text"], reply["audio_duration_ms"]) == ("1 seconds\n1 seconds", 1000)
    reply = ask(client, type="audio", audio_data=base64_of(wav(channels=1)), **SEPARATE)
    assert reply["text"] == "1 seconds", "one channel is channel 0"
    reply = ask(client, type="audio", audio_data=base64_of(wav(channels=4)), channels=2, **SEPARATE)
    assert "The audio has 4 channels; allowed with channel_mode separate: 1 to 2" in reply["message"]
    client.close()


def test_upload_of_openai(stack: Stack, openai_client: OpenAI) -> None:
    reply = openai_client.audio.transcriptions.create(
        model="echo", file=("call.wav", wav()), response_format="verbose_json", extra_body=SEPARATE
    )
    assert reply.text == "1 seconds\n1 seconds"
    assert reply.duration == 1.0
    assert [one.channel for one in reply.segments or []] == [0, 1]  # type: ignore[attr-defined]
    status, told = post_form(stack, "/v1/audio/transcriptions", wav(channels=6), channel_mode="separate")
    assert (status, told["error"]["message"]) == (
        400,
        "The audio has 6 channels; allowed with channel_mode separate: 1 to 4 (channels).",
    )
    status, told = post_form(stack, "/v1/audio/transcriptions", wav(), channels="2")
    assert (status, told["error"]["param"]) == (400, "channels")


def test_upload_of_mistral(stack: Stack, mistral_client: Mistral) -> None:
    del mistral_client  # its SDK has no field for them
    fields = {"dialect": "mistral", "timestamp_granularities": "segment", "channel_mode": "separate"}
    status, told = post_form(stack, "/v1/audio/transcriptions?dialect=mistral", wav(), model="echo", **fields)
    assert status == 200, told
    assert [one["channel"] for one in told["segments"]] == [0, 1]


def realtime(stack: Stack, path: str, *messages: dict[str, Any], last: str) -> list[dict[str, Any]]:
    """The answers to some messages, up to one of the type `last`."""
    with connect(stack.web_url.replace("http", "ws", 1) + path, compression=None) as socket:
        for message in messages:
            socket.send(json.dumps(message))
        found = []
        while not found or found[-1]["type"] != last:
            found.append(json.loads(socket.recv(20)))
            assert found[-1]["type"] != "error", found[-1]
        return found


def test_realtime_of_mistral(stack: Stack) -> None:
    told = realtime(
        stack,
        "/v1/audio/transcriptions/realtime?model=echo",
        {"type": "session.update", "session": SEPARATE},
        {"type": "input_audio.append", "audio": base64.b64encode(SECOND).decode()},
        {"type": "input_audio.end"},
        last="transcription.done",
    )
    segments = [one for one in told if one["type"] == "transcription.segment"]
    assert sorted(one["channel"] for one in segments) == [0, 1]
    deltas = [one["text"] for one in told if one["type"] == "transcription.text.delta"]
    assert "".join(deltas) == told[-1]["text"] == "1 seconds\n1 seconds"


def test_realtime_of_openai(stack: Stack) -> None:
    inputs = {"format": {"type": "audio/pcm", "rate": 16_000}, "transcription": SEPARATE, "turn_detection": None}
    told = realtime(
        stack,
        "/v1/realtime?intent=transcription",
        {"type": "session.update", "session": {"type": "transcription", "audio": {"input": inputs}}},
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(SECOND).decode()},
        {"type": "input_audio_buffer.commit"},
        last="conversation.item.input_audio_transcription.completed",
    )
    committed = [one["channel"] for one in told if one["type"] == "input_audio_buffer.committed"]
    assert committed == [0, 1]
    assert (told[-1]["transcript"], told[-1]["usage"]["seconds"]) == ("1 seconds", 1.0)


def test_client_library_sends_channels(stack: Stack) -> None:
    async def heard() -> tuple[list[Final], Done]:
        async with (
            TranscriptionClient(stack.ws_url) as client,
            client.live(channels=2, channel_mode="separate", sample_rate=8_000) as session,
        ):
            await session.send(SECOND)
            await session.stop()
            events = [event async for event in session]
            done = events[-1]
            assert isinstance(done, Done)
            return [event for event in events if isinstance(event, Final)], done

    found, done = asyncio.run(heard())
    assert sorted((final.channel, final.text) for final in found) == [(0, "2 seconds"), (1, "2 seconds")]
    assert done.duration_s == 2.0


@pytest.mark.parametrize("how", [(), ("--format", "json")])
def test_command_line_names_the_channels(stack: Stack, tmp_path: Path, how: tuple[str, ...]) -> None:
    file = tmp_path / "call.wav"
    file.write_bytes(wav())
    done = run(stack, "transcribe", "--channel-mode", "separate", *how, file)
    assert (done.returncode, done.stderr) == (0, "")
    if "json" in how:
        document = json.loads(done.stdout)
        assert (document["text"], document["duration"]) == ("1 seconds\n1 seconds", 1.0)
        assert [one["channel"] for one in document["segments"]] == [0, 1]
    else:
        assert sorted(done.stdout.splitlines()) == ["Channel 0: 1 seconds", "Channel 1: 1 seconds"]
