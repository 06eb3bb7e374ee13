"""The AsyncAPI document says what the sockets really say: real clients' traffic, message by message."""

import asyncio
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import requests
import soxr
import yaml
from jsonschema import Draft202012Validator
from mistralai.client import Mistral
from openai import OpenAI
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from websockets.sync.client import ClientConnection, connect

from frontend.protocols.mistral.realtime import MAX_APPEND_BYTES
from shared.version import VERSION
from tests.integration.api_clients import wav_of
from tests.integration.native_clients import base64_of, wav
from tests.integration.recorder import Recorder, recorded
from tests.integration.viewers import SseViewer
from tests.limits import limit_s
from tests.socket_messages import document
from tests.speech import SENTENCES, silence, synthesise
from tests.stack import Stack

# The SDK opens its connections as websockets before 17.1 wanted it.
pytestmark = pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")

DOCUMENT = document()
REGISTRY = Registry().with_resource("urn:asyncapi", DRAFT202012.create_resource(DOCUMENT))
SECOND = b"\1\0" * 16_000
TRAILING_BYTES = 48_000
"""Of the silence in which `speech` ends."""
NOT_HEARD = {
    # The first is heard below, by a client that asks for it; the second is rare, and the third in test_second_pass.py.
    "page": {"received", "speakers", "revised"},
    "events": {"speakers", "revised"},
    "openai": {"conversation.item.input_audio_transcription.failed"},  # of sessions that break in the midst of a turn
    "openaiBeta": {
        "conversation.item.input_audio_transcription.failed",
        "conversation.item.input_audio_transcription.segment",
    },
}


IDLE = {"type": "server_vad", "idle_timeout_ms": 5000}


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


@cache
def schemas(channel: str, action: str) -> dict[str, Draft202012Validator]:
    """By message type, what a channel's messages of one direction look like."""
    found = {}
    for operation in DOCUMENT["operations"].values():
        if operation["action"] != action or operation["channel"]["$ref"] != f"#/channels/{channel}":
            continue
        for reference in operation["messages"]:
            message = DOCUMENT["channels"][channel]["messages"][reference["$ref"].rpartition("/")[2]]
            if "name" in resolved(message):
                schema = {"$ref": f"urn:asyncapi{message['$ref']}/payload"}
                found[resolved(message)["name"]] = Draft202012Validator(schema, registry=REGISTRY)
    return found


def check(channel: str, recorder: Recorder) -> None:
    """Every message is documented and as documented, and every documented one of the service was heard."""
    for action, messages in (("receive", recorder.of_clients), ("send", recorder.of_service)):
        for message in messages:
            assert message["type"] in schemas(channel, action), message
            schemas(channel, action)[message["type"]].validate(message)
    heard = {message["type"] for message in recorder.of_service}
    assert schemas(channel, "send").keys() - heard == NOT_HEARD.get(channel, set())


@cache
def speech(rate_hz: int = 16_000) -> bytes:
    heard = np.concatenate([silence(0.5), synthesise(SENTENCES[7]), silence(1.5)])
    samples = soxr.resample(heard, 16_000, rate_hz) if rate_hz != 16_000 else heard
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


TURNS = {"type": "semantic", "end_threshold": 1, "early_threshold": 0, "max_silence_ms": 2500}
"""With these every pause may end a turn, and does not end it before it is as long as this."""


@cache
def hesitation() -> bytes:
    """Speech with a pause that ends no turn by `TURNS`, and one that does."""
    heard = np.concatenate([synthesise(SENTENCES[15]), silence(0.6), synthesise(SENTENCES[2]), silence(2.6)])
    return (np.clip(heard, -1, 1) * 32767).astype("<i2").tobytes()


async def record(stack: Stack, channel: str, talk: Callable[[str], None], *, port: int | None = None) -> None:
    async with recorded(f"ws://127.0.0.1:{port or stack.settings.server.http_port}") as recorder:
        await asyncio.to_thread(talk, recorder.url)
    check(channel, recorder)


def until(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(socket.recv(timeout=limit_s(30)))
        if message["type"] in kinds:
            return message


def speak_until_partial(speaking: ClientConnection, listening: ClientConnection) -> None:
    """A busy machine writes less often, so it needs more speech."""
    speaking.send(speech()[:-TRAILING_BYTES])
    while True:
        try:
            if json.loads(listening.recv(timeout=2))["type"] == "partial":
                return
        except TimeoutError:
            speaking.send(speech()[TRAILING_BYTES:-TRAILING_BYTES])


def tell(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))


def test_document_is_whole_and_served(stack: Stack) -> None:
    answer = SseViewer(stack.web_url, "/asyncapi.yaml", None)
    assert answer.response.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(answer.response.read()) == DOCUMENT
    answer.close()
    assert requests.get(f"{stack.web_url}/asyncapi.json", timeout=limit_s(20)).json() == DOCUMENT
    assert (DOCUMENT["asyncapi"], DOCUMENT["info"]["version"]) == ("3.0.0", VERSION)
    named = {reference["$ref"] for operation in DOCUMENT["operations"].values() for reference in operation["messages"]}
    offered = {
        f"#/channels/{name}/messages/{message}"
        for name, channel in DOCUMENT["channels"].items()
        for message in channel["messages"]
    }
    assert named == offered
    for message in DOCUMENT["components"]["messages"].values():
        Draft202012Validator.check_schema(message["payload"])
    json.dumps(DOCUMENT)

    def check_references(node: Any) -> None:
        if isinstance(node, dict):
            resolved(node)
        for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            check_references(part)

    check_references(DOCUMENT)


async def test_native_protocol(whisper_stack: Stack) -> None:
    def talk(url: str) -> None:
        with connect(f"ws://{url}/ws") as socket:
            tell(socket, type="auth", key="any, where none is needed")
            tell(socket, type="ping", id="a")
            tell(socket, type="status", id=1)
            tell(socket, type="resume", session_id="0123456789abcdef", resume_token="x", seq=0)
            tell(socket, type="audio", audio_data=base64_of(wav(0.5)), stream=True, id="b")
            until(socket, "response")
            tell(socket, type="voice", audio_data=base64_of(wav_of(synthesise(SENTENCES[7]))))
            embedding = until(socket, "voice")["embedding"]
            options = {"language": "en", "temperature": None, "diarize": True}
            known = [{"name": "Ann", "embedding": embedding}]
            tell(socket, type="start", encoding="pcm_s16le", sample_rate=16000, known_speakers=known, **options)
            ready = until(socket, "ready")
            speak_until_partial(socket, socket)  # before a commit makes it final
            socket.send(speech()[-TRAILING_BYTES:])
            tell(socket, type="configure", prompt="Names", number=1)
            tell(socket, type="configure", top_p=0.5, number=2)
            tell(socket, type="commit", number=3)
            until(socket, "final")
            tell(socket, type="chunk", audio_data=base64_of(SECOND))
            with connect(f"ws://{url}/ws") as other:
                token = {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}
                tell(other, type="resume", seq=1, acknowledge=False, **token)
                until(other, "ready")
                until(socket, "error")
                tell(other, type="stop")
                until(other, "done")
            tell(socket, type="start", turn_detection=TURNS)
            until(socket, "ready")
            tell(socket, type="configure", turn_detection=None)
            tell(socket, type="configure", turn_detection=TURNS)
            socket.send(hesitation())
            until(socket, "turn_ended_early")
            until(socket, "turn_resumed")
            assert until(socket, "turn_ended")["reason"] == "silence"
            tell(socket, type="cancel")
            tell(socket, type="ping")
            until(socket, "pong")

    await record(whisper_stack, "page", talk)


async def test_native_protocol_on_its_own_port(stack: Stack) -> None:
    def talk(url: str) -> None:
        with connect(f"ws://{url}/") as socket:
            tell(socket, type="start", acknowledge=True)
            socket.send(SECOND)
            until(socket, "received")
            tell(socket, type="stop")
            until(socket, "done")

    async with recorded(stack.ws_url) as recorder:
        await asyncio.to_thread(talk, recorder.url)
    for message in recorder.of_service:
        schemas("native", "send")[message["type"]].validate(message)


async def test_live_captions(whisper_stack: Stack) -> None:
    def talk(url: str) -> None:
        with connect(f"{whisper_stack.web_url.replace('http', 'ws', 1)}/ws") as socket:
            tell(socket, type="start")
            ready = until(socket, "ready")
            path = f"/v1/sessions/{ready['session_id']}/events?token={ready['viewer_token']}"
            with connect(f"ws://{url}{path}") as viewer:
                speak_until_partial(socket, viewer)
                tell(socket, type="configure", top_p=0.5)
                tell(socket, type="stop")
                until(viewer, "done")
            until(socket, "done")
            tell(socket, type="start", turn_detection=TURNS)
            ready = until(socket, "ready")
            path = f"/v1/sessions/{ready['session_id']}/events?token={ready['viewer_token']}"
            with connect(f"ws://{url}{path}") as viewer:
                socket.send(hesitation())
                until(viewer, "final")  # it has come
                until(viewer, "turn_ended")
                tell(socket, type="cancel")
                until(viewer, "error")

    await record(whisper_stack, "events", talk)


def turns(url: str) -> None:
    """What the SDK of today does not ask for."""
    with connect(f"ws://{url}/v1/audio/transcriptions/realtime?model=auto&viewer_token=true") as socket:
        eager = {"eager_end_threshold": 1, "end_threshold": 0, "end_timeout_ms": 2500}
        tell(socket, type="session.update", session={"turn_detection": eager, "diarize": True})
        for at in range(0, len(hesitation()), MAX_APPEND_BYTES):
            tell(socket, type="input_audio.append", audio=base64_of(hesitation()[at : at + MAX_APPEND_BYTES]))
        tell(socket, type="session.update", session={"language": "en"})  # too late
        tell(socket, type="input_audio.end")
        until(socket, "transcription.done")


async def test_mistral_sdk(whisper_stack: Stack) -> None:
    async with recorded(whisper_stack.web_url.replace("http", "ws", 1)) as recorder:
        realtime = Mistral(api_key="unused", server_url=f"http://{recorder.url}").audio.realtime
        async with await realtime.connect("auto", target_streaming_delay_ms=480) as connection:
            await connection.send_audio(speech())
            await connection.flush_audio()
            await connection.end_audio()
            async for event in connection:
                if event.type == "transcription.done":
                    break
        await asyncio.to_thread(turns, recorder.url)
    check("mistral", recorder)


def speak_a_turn(connection: Any) -> None:
    """Over a connection of OpenAI's SDK, of today or of the beta; then the buffer is cleared."""
    connection.input_audio_buffer.append(audio=base64_of(speech(24_000)))
    for event in connection:
        if event.type.endswith("completed"):
            break
    connection.input_audio_buffer.clear()
    for event in connection:
        if event.type.endswith("cleared"):
            break


def time_out(connection: Any) -> None:
    """The same with silence, if the session's timeout is `IDLE`."""
    connection.input_audio_buffer.append(audio=base64_of(bytes(2 * 24_000 * 7)))
    for event in connection:
        if event.type.endswith("timeout_triggered"):
            break


async def test_openai_sdk(whisper_stack: Stack) -> None:
    def talk(url: str) -> None:
        client = OpenAI(api_key="unused", base_url=f"http://{url}/v1", websocket_base_url=f"ws://{url}/v1")
        with client.realtime.connect(extra_query={"intent": "transcription", "viewer_token": "true"}) as connection:
            transcription = {
                "type": "transcription",
                "audio": {"input": {"transcription": {"model": "whisper-1", "diarize": True}}},
            }
            connection.session.update(session=transcription)  # type: ignore[arg-type]
            connection.input_audio_buffer.commit()
            speak_a_turn(connection)
            idle = {"type": "transcription", "audio": {"input": {"turn_detection": IDLE}}}
            connection.session.update(session=idle)  # type: ignore[arg-type]
            time_out(connection)

    await record(whisper_stack, "openai", talk)


async def test_openai_sdk_with_the_beta(whisper_stack: Stack) -> None:
    flat = {
        "input_audio_format": "pcm16",
        "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": "Names"},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 300},
        "include": ["item.input_audio_transcription.logprobs"],
    }

    def talk(url: str) -> None:
        client = OpenAI(api_key="unused", base_url=f"http://{url}/v1", websocket_base_url=f"ws://{url}/v1")
        with client.beta.realtime.connect(model="whisper-1", extra_query={"viewer_token": "true"}) as connection:
            connection.input_audio_buffer.commit()  # of nothing
            connection.session.update(session={"turn_detection": None})
            for session in (flat, {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}, "include": None}):
                connection.transcription_session.update(session=session)  # type: ignore[arg-type]
            speak_a_turn(connection)
            connection.transcription_session.update(session={"turn_detection": IDLE})  # type: ignore[typeddict-item]
            time_out(connection)

    await record(whisper_stack, "openaiBeta", talk)


async def test_vllm_client(whisper_stack: Stack) -> None:
    def talk(url: str) -> None:
        with connect(f"ws://{url}/v1/realtime?viewer_token=true") as socket:
            until(socket, "session.created")
            tell(socket, type="input_audio_buffer.commit")
            until(socket, "error")
            tell(socket, type="session.update", model="whisper-base", diarize=True)
            tell(socket, type="input_audio_buffer.commit")
            tell(socket, type="input_audio_buffer.append", audio=base64_of(speech()))
            tell(socket, type="input_audio_buffer.commit", final=True)
            until(socket, "transcription.done")

    await record(whisper_stack, "vllm", talk)
