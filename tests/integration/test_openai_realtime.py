"""OpenAI's own SDK, unchanged but for its server's address, and the clients that came before it."""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import jiwer
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import RealtimeConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.native_clients import base64_of, open_client, tell, tone, until
from tests.integration.workers import vanish
from tests.limits import limit_s
from tests.speech import SENTENCES, conversation
from tests.stack import Stack

# The SDK opens its connections as websockets before 17.1 wanted it.
pytestmark = pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")

TIMEOUT_S = limit_s(30.0)
SPOKEN = SENTENCES[:2]
PREFIX = "conversation.item.input_audio_transcription."
PCM_24K = {"type": "audio/pcm", "rate": 24000}
BETA = {"OpenAI-Beta": "realtime=v1"}


def socket_url(stack: Stack, query: str = "?intent=transcription") -> str:
    return f"{stack.web_url.replace('http', 'ws', 1)}/v1/realtime{query}"


def session(**inputs: Any) -> Any:
    return {"type": "transcription", "audio": {"input": {"format": PCM_24K, **inputs}}}


def spoken_24k(sentences: tuple[str, ...] = SPOKEN) -> bytes:
    pcm = soxr.resample(conversation(sentences=sentences), 16_000, 24_000)
    return (pcm * 32767).astype("<i2").tobytes()


def pieces(pcm: bytes, chunk_bytes: int = 24_000) -> Iterator[str]:
    for start in range(0, len(pcm), chunk_bytes):
        yield base64.b64encode(pcm[start : start + chunk_bytes]).decode()


def collect(connection: RealtimeConnection, last: str) -> list[Any]:
    """All events up to the first of this type."""
    events = []
    for event in connection:
        assert event.type != "error", event
        events.append(event)
        if event.type.removeprefix(PREFIX) == last:
            return events
    raise AssertionError(f"the connection ended before {last}")


def words(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum() or character.isspace())


def word_errors(text: str) -> float:
    return float(jiwer.wer(words(" ".join(SPOKEN)), words(text)))


@pytest.fixture(scope="module")
def native_errors(whisper_stack: Stack) -> float:
    """The word error rate of the same speech on the native path."""
    client = open_client(whisper_stack, "web")
    tell(client, type="start", language="en")
    client.send_audio((conversation(sentences=SPOKEN) * 32767).astype("<i2").tobytes())
    tell(client, type="stop")
    text = until(client, "done")[-1]["text"]
    client.close()
    return word_errors(text)


def test_turns_of_the_client_are_transcribed_whole(whisper_stack: Stack, native_errors: float) -> None:
    client = OpenAI(api_key="unused", base_url=f"{whisper_stack.web_url}/v1")
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        created = connection.recv()
        assert created.type == "session.created"
        transcription = {"model": "whisper-1", "language": "en"}
        connection.session.update(session=session(transcription=transcription, turn_detection=None))
        updated = connection.recv()
        assert updated.type == "session.updated"
        assert updated.session.audio.input.transcription.model == "whisper-1"
        for audio in pieces(spoken_24k()):
            connection.input_audio_buffer.append(audio=audio)
        connection.input_audio_buffer.commit()
        events = collect(connection, "completed")
    [committed] = [event for event in events if event.type == "input_audio_buffer.committed"]
    item_ids = {event.item_id for event in events if event.type.startswith(PREFIX)}
    assert item_ids == {committed.item_id}
    done = events[-1]
    assert done.transcript == "".join(event.delta for event in events if event.type == f"{PREFIX}delta")
    assert done.usage.seconds == pytest.approx(len(spoken_24k()) / 48_000, abs=0.001)
    assert word_errors(done.transcript) <= native_errors + 0.01


async def test_turns_that_the_server_finds(whisper_stack: Stack, native_errors: float) -> None:
    client = AsyncOpenAI(api_key="unused", base_url=f"{whisper_stack.web_url}/v1")
    transcripts: dict[str, str] = {}
    deltas: dict[str, str] = {}
    order: list[str] = []
    async with client.realtime.connect(model="gpt-4o-transcribe") as connection:
        await connection.session.update(session=session(transcription={"model": "gpt-4o-transcribe", "language": "en"}))
        for audio in pieces(spoken_24k() + bytes(48_000)):
            await connection.input_audio_buffer.append(audio=audio)
        async for event in connection:
            assert event.type != "error", event
            order.append(event.type)
            if event.type == f"{PREFIX}delta":
                deltas[event.item_id] = deltas.get(event.item_id, "") + event.delta
            elif event.type == f"{PREFIX}completed":
                transcripts[event.item_id] = event.transcript
                if len(transcripts) == len(SPOKEN):
                    break
    assert deltas == transcripts
    assert (
        order.count("input_audio_buffer.speech_started") == order.count("input_audio_buffer.committed") == len(SPOKEN)
    )
    assert word_errors(" ".join(transcripts.values())) <= native_errors + 0.01


def test_session_of_the_client_goes_on_after_its_mistakes(stack: Stack) -> None:
    client = OpenAI(api_key="unused", base_url=f"{stack.web_url}/v1")
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.recv()
        mistakes: list[tuple[Any, str, str | None]] = [
            ({"type": "response.create", "event_id": "a"}, "invalid_value", "type"),
            ({"type": "input_audio_buffer.commit", "event_id": "b"}, "input_audio_buffer_commit_empty", None),
            (
                {"type": "session.update", "event_id": "c", "session": session(transcription={"model": "nova-9"})},
                "model_not_found",
                "session.audio.input.transcription.model",
            ),
            (
                {
                    "type": "session.update",
                    "event_id": "d",
                    "session": session(transcription={"model": "gpt-4o-transcribe-diarize"}),
                },
                "model_not_found",
                "session.audio.input.transcription.model",
            ),
        ]
        for message, code, param in mistakes:
            connection.send(message)
            answer = connection.recv()
            assert answer.type == "error"
            assert (answer.error.code, answer.error.param, answer.error.event_id) == (code, param, message["event_id"])
        connection.session.update(session=session(transcription={"model": "echo"}, turn_detection=None))
        for turn in range(3):
            connection.input_audio_buffer.append(audio=base64_of(bytes(24_000)))
            if turn == 1:
                connection.input_audio_buffer.clear()
                assert collect(connection, "input_audio_buffer.cleared")
            else:
                connection.input_audio_buffer.commit()
                assert collect(connection, "completed")[-1].transcript.endswith(" seconds")


def test_silence_times_out_where_the_client_asks(stack: Stack) -> None:
    client = OpenAI(api_key="unused", base_url=f"{stack.web_url}/v1")
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session=session(transcription={"model": "echo"}, turn_detection=detection))
        for _ in range(12):
            connection.input_audio_buffer.append(audio=base64_of(bytes(48_000)))
        told = collect(connection, "completed")
    [timeout] = [event for event in told if event.type == "input_audio_buffer.timeout_triggered"]
    assert (timeout.audio_start_ms, told[-1].item_id, told[-1].transcript) == (0, timeout.item_id, "")
    assert 5000 <= timeout.audio_end_ms <= 12_000


def receive(connection: ClientConnection, last: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != last:
        events.append(json.loads(connection.recv(TIMEOUT_S)))
        assert last == "error" or events[-1]["type"] != "error", events[-1]
    return events


def send(connection: ClientConnection, **event: Any) -> None:
    connection.send(json.dumps(event))


def append(connection: ClientConnection, pcm: bytes) -> None:
    send(connection, type="input_audio_buffer.append", audio=base64_of(pcm))


def test_client_of_the_beta_is_served(stack: Stack) -> None:
    with connect(socket_url(stack), additional_headers=BETA) as connection:
        receive(connection, "transcription_session.created")
        flat = {"input_audio_format": "pcm16", "input_audio_transcription": {"model": "echo"}}
        send(connection, type="transcription_session.update", session=flat | {"turn_detection": {"type": "server_vad"}})
        receive(connection, "transcription_session.updated")
        append(connection, bytes(48_000))
        send(connection, type="input_audio_buffer.commit")
        events = receive(connection, f"{PREFIX}completed")
    types = [event["type"] for event in events]
    assert "conversation.item.created" in types
    assert "conversation.item.added" not in types


def test_browser_is_answered_realtime_and_never_its_key(stack: Stack) -> None:
    offered = ["realtime", "openai-insecure-api-key.sk-x"]
    with connect(socket_url(stack, ""), subprotocols=offered) as connection:
        assert connection.subprotocol == "realtime"
        receive(connection, "session.created")


def test_dialect_that_is_none_is_refused_before_the_upgrade(stack: Stack) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(socket_url(stack, "?dialect=x")):
        pass
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body)["error"]["param"] == "dialect"


def test_largest_append_is_taken(stack: Stack) -> None:
    with connect(socket_url(stack)) as connection:
        receive(connection, "session.created")
        send(connection, type="session.update", session=session(turn_detection=None))
        append(connection, bytes(4 * 1024 * 1024))
        append(connection, bytes(15 * 1024 * 1024 + 3))
        [*_, error] = receive(connection, "error")
        assert error["error"]["param"] == "audio"
        send(connection, type="input_audio_buffer.commit")
        [*_, done] = receive(connection, f"{PREFIX}completed")
    assert done["usage"]["seconds"] == pytest.approx(4 * 1024 * 1024 / 48_000, abs=0.001)


def test_file_client_of_vllm(whisper_stack: Stack, native_errors: float) -> None:
    """As its example does it: everything is sent before anything is read."""
    pcm = (conversation(sentences=SPOKEN) * 32767).astype("<i2").tobytes()
    with connect(socket_url(whisper_stack, "")) as connection:
        assert json.loads(connection.recv(TIMEOUT_S))["type"] == "session.created"
        send(connection, type="session.update", model="whisper-base")
        for _ in range(2):
            send(connection, type="input_audio_buffer.commit")
            for start in range(0, len(pcm), 4096):
                append(connection, pcm[start : start + 4096])
            send(connection, type="input_audio_buffer.commit", final=True)
            events = receive(connection, "transcription.done")
            assert {event["type"] for event in events[:-1]} == {"transcription.delta"}
            assert events[-1]["text"] == "".join(event["delta"] for event in events[:-1])
            assert word_errors(events[-1]["text"]) <= native_errors + 0.01
            pcm = pcm[: len(pcm) // 4 // 4096 * 4096]
            native_errors = 1.0  # a part of the words


def test_microphone_client_of_vllm_never_ends_and_frees_its_slot(stack: Stack) -> None:
    with connect(socket_url(stack, "?viewer_token=true")) as connection:
        receive(connection, "session.created")
        send(connection, type="session.update", model="echo")
        send(connection, type="input_audio_buffer.commit")
        append(connection, tone(0.5))
        session_id = receive(connection, "voxtral.session")[-1]["session_id"]
        append(connection, tone(10))
        receive(connection, "transcription.delta")
        vanish(stack, connection, session_id)


def test_client_that_vanishes_frees_its_slot(stack: Stack) -> None:
    with connect(socket_url(stack, "?intent=transcription&viewer_token=true")) as connection:
        append(connection, tone(1))
        vanish(stack, connection, receive(connection, "voxtral.session")[-1]["session_id"])


@pytest.fixture(scope="module", params=["?intent=transcription", "?dialect=vllm"])
def hardy(stack: Stack, request: pytest.FixtureRequest) -> Iterator[ClientConnection]:
    """One connection for all that is wrong."""
    with connect(socket_url(stack, request.param)) as connection:
        yield connection


JSON = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "session", "audio", "model"]), inner, max_size=3),
    max_leaves=5)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.binary(max_size=40) | st.text(max_size=40) | st.builds(
    lambda kind, event: json.dumps(event | {"type": kind}),
    st.sampled_from(["session.update", "input_audio_buffer.append", "transcription_session.update", "x"]),
    st.dictionaries(st.sampled_from(["session", "audio", "event_id"]), JSON, max_size=3),
))  # fmt: skip
def test_malformed_messages_leave_the_connection_alone(hardy: ClientConnection, message: str | bytes) -> None:
    hardy.send(message)
    send(hardy, type="sentinel")
    answers: Iterable[dict[str, Any]] = iter(lambda: json.loads(hardy.recv(TIMEOUT_S)), None)
    assert any("sentinel" in str(answer) for answer in answers)


def test_service_lives_on(stack: Stack) -> None:
    stack.check_alive()
    assert "Traceback" not in stack.output("web")
