"""Live audio as people really send it, at every door: containers, WAV headers, two channels, odd ends."""

import contextlib
import io
import json
import wave
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.integration.native_clients import FRONTENDS, Client, ask, base64_of, open_client, reset, tell, tone, until
from tests.recorders import fragments, stream_of, webm
from tests.speech import noise
from tests.stack import Stack

RATE_HZ = 48_000
NOISE = noise(3 * 2.0, 0.1)
"""Two seconds at 48 kHz."""
TIMEOUT_S = 15.0


@pytest.fixture
def opened(stack: Stack) -> Iterator[Any]:
    with contextlib.ExitStack() as clients:
        yield lambda frontend: clients.enter_context(contextlib.closing(open_client(stack, frontend)))


def finished(client: Client, number: int | None = None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Warnings and errors, and the end of a session."""
    tell(client, type="stop", number=number)
    *events, done = until(client, "done")
    return [event for event in events if event["type"] in ("warning", "error")], done


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize(("name", "pieces"), [("WebM", webm(NOISE)), ("MP3", stream_of("mp3", NOISE))])
def test_container_that_was_not_asked_for_is_refused_once(
    opened: Any, frontend: str, name: str, pieces: list[bytes]
) -> None:
    client = opened(frontend)
    ask(client, type="start")
    for piece in pieces:
        client.send_audio(piece)
    [error], done = finished(client)
    assert (error["code"], "seq" in error) == ("unsupported_audio", False)
    assert error["message"].startswith(f"The audio is {name}, and the session takes raw samples: start with encoding")
    assert (done["text"], done["duration"]) == ("", 0.0)


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("pieces", [webm(NOISE), fragments(NOISE)], ids=["webm", "mp4"])
def test_container_is_heard_while_it_is_recorded(opened: Any, frontend: str, pieces: list[bytes]) -> None:
    client = opened(frontend)
    ask(client, type="start", encoding="container")
    half = len(pieces) // 2
    for piece in pieces[:half]:
        client.send_audio(piece)
    tell(client, type="commit")
    [*_, first] = until(client, "final")
    assert first["end"] == pytest.approx(1.0, abs=0.25)
    for piece in pieces[half:]:
        client.send_audio(piece)
    problems, done = finished(client)
    assert problems == []
    assert done["duration"] == pytest.approx(2.0, abs=0.1)


def test_container_may_be_asked_for_when_audio_was_refused(opened: Any) -> None:
    client = opened("websocket")
    ask(client, type="start", sample_rate=48_000.0)
    client.send_audio(tone(3.0))
    pieces = webm(NOISE)
    tell(client, type="configure", encoding="container")
    for piece in pieces:
        client.send_audio(piece)
    tell(client, type="configure", encoding="pcm_s16le", sample_rate=16_000)
    client.send_audio(tone(1.0))
    problems, done = finished(client)
    assert problems == []
    assert done["duration"] == pytest.approx(1.0 + 2.0 + 1.0, abs=0.1)


def test_container_that_cannot_be_decoded_is_told_while_the_session_continues(opened: Any) -> None:
    client = opened("websocket")
    ask(client, type="start", encoding="container")
    client.send_audio(tone(0.1))
    [*_, error] = until(client, "error")
    assert (error["code"], "seq" in error) == ("unsupported_audio", False)
    client.send_audio(tone(0.1))
    tell(client, type="configure", encoding="pcm_s16le")
    client.send_audio(tone(1.0))
    problems, done = finished(client)
    assert (problems, done["duration"]) == ([], 1.0)


def test_container_continues_after_a_lost_connection(opened: Any) -> None:
    """The recorder begins again: what comes is a new container."""
    client = opened("tcp")
    ready = ask(client, type="start", encoding="container")
    for piece in webm(NOISE):
        client.send_audio(piece)
    tell(client, type="commit", number=1)
    [*_, final] = until(client, "final")
    reset(client)
    client = opened("web")
    token = {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}
    resumed = ask(client, type="resume", seq=final["seq"], encoding="container", **token)
    assert resumed["audio_received_samples"] == pytest.approx(32_000, abs=1_600)
    for piece in fragments(NOISE):
        client.send_audio(piece)
    problems, done = finished(client, number=2)
    assert problems == []
    assert done["duration"] == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_wav_header_is_honoured(opened: Any, frontend: str) -> None:
    client = opened(frontend)
    ask(client, type="start")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(np.stack([NOISE, -NOISE], 1).astype("<f4").view("<i2")[:, :2].tobytes())
    client.send_audio(content.getvalue())
    problems, done = finished(client)
    assert (problems, done["duration"]) == ([], 2.0)


def test_client_is_warned_of_channels_and_of_an_odd_end(opened: Any) -> None:
    client = opened("websocket")
    ask(client, type="start", channels=2, sample_rate=6000)
    samples = (NOISE[:12_000] * 32767).astype("<i2")
    client.send_audio(np.stack([samples, -samples], 1).tobytes() + b"\1\2\3")
    problems, done = finished(client)
    assert [problem["code"] for problem in problems] == ["channels_inverted", "incomplete_sample"]
    assert all(problem["type"] == "warning" for problem in problems)
    assert done["duration"] == 2.0


def test_one_shot_takes_a_data_url_and_a_container(opened: Any) -> None:
    client = opened("websocket")
    content = b"".join(webm(NOISE))
    for encoding in (None, "container"):
        url = "data:audio/webm;codecs=opus;base64," + base64_of(content)
        reply = ask(client, type="audio", audio_data=url, encoding=encoding, sample_rate=16000.0)
        assert reply["type"] == "response"
        assert reply["audio_duration_ms"] == pytest.approx(2000, abs=100)


MISTRAL = ("audio/transcriptions/realtime?model=echo", [], "input_audio.append", "input_audio.end")
OPENAI = (
    "realtime?dialect=openai&model=echo",
    [{"type": "session.update", "session": {"type": "transcription", "audio": {"input": {"transcription": {}}}}}],
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
)
VLLM = ("realtime?dialect=vllm", [{"type": "session.update", "model": "echo"}], "input_audio_buffer.append", None)


def events_until(connection: ClientConnection, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != kind:
        events.append(json.loads(connection.recv(TIMEOUT_S)))
    return events


@pytest.mark.parametrize(
    ("address", "greeting", "append", "end"), [MISTRAL, OPENAI, VLLM], ids=["mistral", "openai", "vllm"]
)
def test_dialects_refuse_containers_and_the_session_continues(
    stack: Stack, address: str, greeting: list[dict[str, Any]], append: str, end: str | None
) -> None:
    with connect(f"{stack.web_url.replace('http', 'ws', 1)}/v1/{address}") as connection:
        for message in greeting:
            connection.send(json.dumps(message))
        for piece in webm(NOISE)[:3]:
            connection.send(json.dumps({"type": append, "audio": base64_of(piece)}))
            [*_, error] = events_until(connection, "error")
            assert "The audio is WebM, and the session takes raw samples: send raw samples" in json.dumps(error)
        if end == "input_audio.end":
            connection.send(json.dumps({"type": end}))
            assert events_until(connection, "transcription.done")[-1]["usage"]["prompt_audio_seconds"] == 0
        elif end is not None:
            connection.send(json.dumps({"type": end}))
            [*_, empty] = events_until(connection, "error")
            assert "input_audio_buffer_commit_empty" in json.dumps(empty), "nothing of it counts as audio"


@pytest.mark.parametrize("kind", ["wav", "odd", "url"])
def test_odd_audio_of_vllms_clients(stack: Stack, kind: str) -> None:
    pcm = tone(1.0)
    pieces = {"wav": [_wav(pcm)], "odd": [pcm[:333], pcm[333:] + b"\1"], "url": [pcm]}[kind]
    prefix = "data:audio/pcm;base64," if kind == "url" else ""
    with connect(f"{stack.web_url.replace('http', 'ws', 1)}/v1/realtime?dialect=vllm") as connection:
        connection.send(json.dumps({"type": "session.update", "model": "echo"}))
        for piece in pieces:
            connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": prefix + base64_of(piece)}))
        connection.send(json.dumps({"type": "input_audio_buffer.commit", "final": True}))
        events = events_until(connection, "transcription.done")
    assert "error" not in [event["type"] for event in events]
    assert events[-1]["text"] == "1 seconds"


def _wav(pcm: bytes) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(pcm)
    return content.getvalue()
