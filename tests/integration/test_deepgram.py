"""Deepgram's own client against a running service."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from deepgram import AsyncDeepgramClient, DeepgramClientEnvironment
from deepgram.core.api_error import ApiError
from deepgram.listen.v1.types import ListenV1Configure
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.integration.api_clients import silent_wav
from tests.integration.native_clients import tone
from tests.keys import KeyList
from tests.limits import limit_s
from tests.receivers import receiving, status, whole
from tests.speech import SAMPLE_RATE_HZ, SENTENCES, silence, synthesise
from tests.stack import Stack

FLUX = {"encoding": "linear16", "sample_rate": "16000"}
RAW = {"model": "nova-3", **FLUX}


def speech() -> bytes:
    """A sentence, and a second of silence."""
    pcm = np.concatenate([synthesise(SENTENCES[9]), silence(1)])
    return (pcm * 32767).astype("<i2").tobytes()


def client(stack: Stack, key: str = "none", http: httpx.AsyncClient | None = None) -> AsyncDeepgramClient:
    ws = stack.web_url.replace("http", "ws", 1)
    here = DeepgramClientEnvironment(base=stack.web_url, production=ws, agent=ws, agent_rest=stack.web_url)
    return AsyncDeepgramClient(api_key=key, environment=here, httpx_client=http)


async def test_live_transcription(stack: Stack) -> None:
    messages: list[Any] = []
    async with client(stack).listen.v1.connect(**RAW, interim_results="true", vad_events="true") as socket:
        await socket.send_media(tone(1))
        await socket.send_keep_alive()
        await socket.send_configure(ListenV1Configure(keyterms=["Ann"], features={"numerals": True}))
        await socket.send_finalize()
        async for message in socket:
            messages.append(message)
            if message.type == "Results" and message.from_finalize:
                await socket.send_media(tone(0.5))
                await socket.send_close_stream()
    finals = [message for message in messages if message.type == "Results" and message.is_final]
    assert [final.from_finalize for final in finals][:1] == [True]
    said = " ".join(final.channel.alternatives[0].transcript for final in finals)
    assert said.strip()
    assert finals[0].metadata.model_info.name == "echo"
    assert [message.keyterms for message in messages if message.type == "ConfigureSuccess"] == [["Ann"]]
    assert (messages[-1].type, messages[-1].duration) == ("Metadata", 1.5)
    assert messages[-1].request_id == finals[0].metadata.request_id


async def test_flux(stack: Stack) -> None:
    infos: list[Any] = []
    others: list[Any] = []
    thresholds = {"eager_eot_threshold": "0.3", "eot_threshold": "0.5", "eot_timeout_ms": "500"}
    async with client(stack).listen.v2.connect(model="flux-general-en", **FLUX, **thresholds) as socket:
        await socket.send_configure({"type": "Configure", "keyterms": ["Ann"], "thresholds": {"eot_threshold": 0.6}})
        await socket.send_configure({"type": "Configure", "thresholds": {"eot_threshold": 0.1}})
        await socket.send_media(speech())
        async for message in socket:
            (infos if message.type == "TurnInfo" else others).append(message)
            if message.type == "TurnInfo" and message.event == "EndOfTurn":
                if message.turn_index:
                    await socket.send_close_stream()
                else:
                    await socket.send_media(speech()[: 2 * SAMPLE_RATE_HZ])  # a second, inside the sentence
                    await socket.send_force_end_turn()
    assert [message.type for message in others] == ["Connected", "ConfigureSuccess", "ConfigureFailure"]
    assert others[1].thresholds.eot_threshold == 0.6
    assert others[1].keyterms == ["Ann"]
    assert infos[0].event == "StartOfTurn"
    ends = [info for info in infos if info.event == "EndOfTurn"]
    assert [(end.turn_index, end.trigger in ("model", "timeout")) for end in ends] == [(0, True), (1, False)]
    assert ends[1].trigger == "manual"
    assert all(end.transcript and end.words for end in ends)
    assert ends[0].end_of_turn_confidence > 0
    assert sorted(message.sequence_id for message in infos + others) == list(range(len(infos + others)))


async def test_bad_parameters_of_flux_are_rejected_before_the_connection_opens(stack: Stack) -> None:
    address = stack.web_url.replace("http", "ws", 1) + "/v2/listen?eot_threshold=2"
    with pytest.raises(InvalidStatus) as rejected:
        connect(address)
    body = json.loads(rejected.value.response.body or b"")
    assert (body["err_code"], "eot_threshold" in body["err_msg"]) == ("Bad Request", True)


async def test_bad_parameters_are_rejected_before_the_connection_opens(stack: Stack) -> None:
    with pytest.raises(ApiError) as refused:
        async with client(stack).listen.v1.connect(**RAW, redact="phi"):
            pass
    assert refused.value.status_code == 400
    address = stack.web_url.replace("http", "ws", 1) + "/v1/listen?encoding=linear16"
    with pytest.raises(InvalidStatus) as rejected:
        connect(address)
    response = rejected.value.response
    body = json.loads(response.body or b"")
    assert (body["err_code"], "sample_rate" in body["err_msg"]) == ("Bad Request", True)
    assert body["request_id"] == response.headers["dg-request-id"] == response.headers["x-request-id"]
    assert response.headers["dg-error"] == body["err_msg"]


@pytest.mark.parametrize("path", ["/v1/listen", "/v2/listen"])
def test_an_unknown_model_is_an_error_message(stack: Stack, path: str) -> None:
    address = stack.web_url.replace("http", "ws", 1) + f"{path}?model=nobody"
    with connect(address) as socket:
        error = json.loads(socket.recv())
        assert (error["type"], "nobody" in error["description"]) == ("Error", True)
        with pytest.raises(ConnectionClosed):
            socket.recv()
    assert (socket.close_code, socket.close_reason) == (1008, "INVALID_FIELD")


@pytest.mark.parametrize(("path", "reason"), [("/v1/listen", "DATA-0000"), ("/v2/listen", "UNSUPPORTED_AUDIO")])
def test_a_container_that_cannot_be_decoded_closes_the_connection(stack: Stack, path: str, reason: str) -> None:
    with connect(f"{stack.web_url.replace('http', 'ws', 1)}{path}?encoding=opus") as socket:
        socket.send(b"This is text." * 100)
        told = json.loads(next(message for message in iter(lambda: socket.recv(limit_s(20)), "") if "Error" in message))
        assert told["description"].startswith("The audio is text")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(limit_s(20))
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, reason)


async def test_keys(keyed_stack: Stack, key_list: KeyList) -> None:
    key = key_list.keys["anna"]
    async with client(keyed_stack, key).listen.v1.connect(**RAW) as socket:
        await socket.send_close_stream()
        assert (await socket.recv()).type == "Metadata"
    with pytest.raises(ApiError) as refused:
        async with client(keyed_stack, "wrong").listen.v1.connect(**RAW):
            pass
    assert refused.value.status_code == 401
    address = keyed_stack.web_url.replace("http", "ws", 1) + "/v1/listen"
    with connect(address, subprotocols=["token", key]) as browser:  # type: ignore[list-item]
        assert browser.subprotocol == "token"
    for path in ("/v1/listen", "/v2/listen"):
        with pytest.raises(InvalidStatus) as rejected:
            connect(keyed_stack.web_url.replace("http", "ws", 1) + path)
        assert json.loads(rejected.value.response.body or b"")["err_code"] == "INVALID_AUTH"


async def test_a_recording(stack: Stack) -> None:
    file = silent_wav(2)
    async with httpx.AsyncClient(timeout=limit_s(30)) as http:
        await transcribe(client(stack, http=http), file)


async def transcribe(deepgram: AsyncDeepgramClient, file: bytes) -> None:
    answer = await deepgram.listen.v1.media.transcribe_file(
        request=file, model="nova-3", utterances=True, paragraphs=True, diarize=True, detect_language=True
    )
    assert answer.metadata.sha256 == hashlib.sha256(file).hexdigest()
    assert (answer.metadata.duration, answer.metadata.channels) == (2.0, 1)
    said = answer.results.channels[0].alternatives[0]
    assert said.transcript
    assert said.paragraphs.paragraphs[0].sentences[0].text
    assert answer.results.utterances[0].transcript
    for body in (b"", b"no recording at all"):
        with pytest.raises(ApiError) as refused:
            await deepgram.listen.v1.media.transcribe_file(request=body, model="nova-3")
        assert (refused.value.status_code, refused.value.body["err_code"]) == (400, "Bad Request")
    with pytest.raises(ApiError) as unfetched:
        await deepgram.listen.v1.media.transcribe_url(url="https://voice.example/a.wav", model="nova-3")
    reason = "url cannot be used: server.recording_urls is false; send the recording itself as the body."
    assert (unfetched.value.status_code, unfetched.value.body["err_msg"]) == (400, reason)
    assert unfetched.value.headers is not None
    assert unfetched.value.headers["dg-error"] == reason


async def test_a_recording_at_a_url(tmp_path: Path) -> None:
    file = silent_wav(2)
    answers = {"/a.wav": whole(file), "/large.wav": whole(bytes(70_000)), "/none.wav": status(404)}
    server = {"recording_urls": True, "max_upload_bytes": 65_536}
    async with receiving() as receiver, httpx.AsyncClient(timeout=limit_s(30)) as http:
        receiver.answer = lambda request: answers[request.path]
        stack = Stack(tmp_path, server=server, outgoing={"allow": ["127.0.0.1"]})
        try:
            await asyncio.to_thread(stack.start)
            transcribe = client(stack, http=http).listen.v1.media.transcribe_url
            answer = await transcribe(url=receiver.url("/a.wav"), model="nova-3")
            assert answer.metadata.sha256 == hashlib.sha256(file).hexdigest()
            assert answer.metadata.duration == 2.0
            for url, reason in (
                (receiver.url("/large.wav"), "larger than 65536 bytes"),
                (receiver.url("/none.wav"), "answered 404"),
                ("http://169.254.169.254/latest/meta-data/", "only https"),
                ("https://10.0.0.1/secret", "not public"),
            ):
                with pytest.raises(ApiError) as refused:
                    await transcribe(url=url, model="nova-3")
                assert refused.value.status_code == 400
                assert reason in refused.value.body["err_msg"]
                assert "secret" not in refused.value.body["err_msg"]
            for body in ("{", "[]", "{}", '{"url": 1}', '{"url": "' + "a" * 70_000 + '"}'):
                rejected = await http.post(
                    f"{stack.web_url}/v1/listen", content=body, headers={"content-type": "application/json"}
                )
                assert (rejected.status_code, rejected.json()["err_code"]) in (
                    (400, "Bad Request"),
                    (413, "PAYLOAD_TOO_LARGE"),
                )
        finally:
            await asyncio.to_thread(stack.stop_all)
