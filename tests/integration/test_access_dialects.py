"""Keys and client tokens at the APIs of other services."""

import http.client
import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import AsyncOpenAI
from redis import Redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from shared.bus import keys
from tests.integration.api_clients import multipart, request, silent_wav
from tests.integration.native_clients import WebSocketClient, ask, base64_of, open_client, tone
from tests.integration.test_access import WRONG, handshake, post
from tests.integration.viewers import SseViewer
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack, wait_until

PATH = "/v1/audio/transcriptions"


async def test_openai_client_begins_with_the_session_of_its_token(keyed_stack: Stack, key_list: KeyList) -> None:
    base = keyed_stack.web_url + "/v1"
    turns = {"type": "transcription", "audio": {"input": {"turn_detection": None, "transcription": {"model": "echo"}}}}
    async with AsyncOpenAI(api_key=key_list.keys["anna"], base_url=base) as owner:
        secret = await owner.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60}, session=turns
        )
    assert secret.value.startswith("ek_")
    assert (secret.session.type, secret.session.object) == ("transcription", "realtime.transcription_session")
    async with (
        AsyncOpenAI(api_key=secret.value, base_url=base) as page,
        page.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        created = await connection.recv()
        assert created.type == "session.created"
        assert created.session.audio.input.turn_detection is None
        assert created.session.audio.input.transcription.model == "echo"
        assert created.session.audio.to_dict() == secret.session.audio.to_dict()
    for path in ("realtime?intent=transcription", "audio/transcriptions/realtime"):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{base.replace('http', 'ws', 1)}/{path}", **handshake("Authorization", WRONG))
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("model", ["auto", "Echo", "gpt-transcribe", "voxtral-small-latest", "whisper-base"])
async def test_session_of_a_token_may_name_a_model_that_is_still_to_come(
    keyed_stack: Stack, key_list: KeyList, model: str
) -> None:
    response, made = post(keyed_stack, {"session": naming(model)}, key_list.keys["anna"])
    assert (response.status, made["session"]["audio"]["input"]["transcription"]["model"]) == (200, model)
    async with (
        AsyncOpenAI(api_key=made["value"], base_url=keyed_stack.web_url + "/v1") as page,
        page.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        assert (await connection.recv()).type == "session.created"
        if model not in ("auto", "Echo"):
            await connection.input_audio_buffer.append(audio=base64_of(tone(0.1)))
            refused = await connection.recv()
            assert (refused.type, refused.error.code) == ("error", "model_not_found")


def test_session_of_a_token_names_a_model_that_could_serve_it(keyed_stack: Stack, key_list: KeyList) -> None:
    response, answer = post(keyed_stack, {"session": naming("gpt-realtime")}, key_list.keys["anna"])
    assert (response.status, answer["error"]["param"]) == (400, "session.audio.input.transcription.model")
    said = "is 'gpt-realtime'; allowed: auto, echo, mistralai/Voxtral-Mini-3B-2507, "
    assert said in answer["error"]["message"]


def test_revoked_key_ends_what_continues_over_the_apis(keyed_stack: Stack, key_list: KeyList) -> None:
    key = key_list.add("leaving-the-apis")
    key_list.write()
    wait_until(lambda: post(keyed_stack, {}, key)[0].status == 200, "the new key is known")
    audio = base64_of(tone(1))
    appended = {"type": "input_audio_buffer.append", "audio": audio}
    with ExitStack() as opened:

        def enter(path: str, *messages: dict[str, Any]) -> WebSocketClient:
            url = f"{keyed_stack.web_url.replace('http', 'ws', 1)}/v1/{path}"
            client = WebSocketClient(url, **handshake("Authorization", key))
            opened.callback(client.close)
            for message in messages:
                client.send_text(json.dumps(message))
            return client

        mistral = enter("audio/transcriptions/realtime", {"type": "input_audio.append", "audio": audio})
        openai = enter("realtime?intent=transcription", appended)
        vllm = enter("realtime?dialect=vllm", {"type": "session.update", "model": "echo"}, appended)
        silent = enter("realtime?intent=transcription")
        upload = opened.enter_context(half_sent(keyed_stack, key))
        ready = ask(native := open_client(keyed_stack, "web", **handshake("Authorization", key)), type="start")
        opened.callback(native.close)
        viewer = SseViewer(keyed_stack.web_url, f"/v1/sessions/{ready['session_id']}/events", ready["viewer_token"])
        opened.callback(viewer.close)
        key_list.remove("leaving-the-apis")
        key_list.write()
        for client, code in ((mistral, 1000), (openai, 3000), (vllm, 4401), (silent, 3000)):
            *_, last = iter(client.receive, None)
            assert last["type"] == "error"
            assert "has been revoked" in json.dumps(last)
            assert client.close_code == code
        assert viewer.rest()[-1]["code"] == "session_expired"
        assert finished(upload)["code"] == "invalid_api_key"


@pytest.mark.parametrize("stream", ["false", "true"])
def test_revoked_key_ends_a_recording_that_is_being_heard(keyed_stack: Stack, key_list: KeyList, stream: str) -> None:
    name = f"leaving-while-heard-{secrets.token_hex(4)}"
    key = key_list.add(name, sessions=1, audio_s_per_minute=60)  # all that is beyond a minute takes a minute
    key_list.write()
    wait_until(lambda: post(keyed_stack, {}, key)[0].status == 200, "the new key is known")
    headers, body = multipart(silent_wav(120), model="echo", stream=stream)
    upload = http.client.HTTPConnection(urlsplit(keyed_stack.web_url).netloc, timeout=limit_s(20))
    with closing(upload), Redis.from_url(keyed_stack.redis_url) as store:
        upload.request("POST", PATH, body, headers | {"X-API-Key": key})
        wait_until(lambda: store.zcard(keys.sessions_of(name)) == 1, "it is heard")
        (session_id,) = store.zrange(keys.sessions_of(name), 0, -1)
        key_list.remove(name)
        key_list.write()
        response = upload.getresponse()
        answer = response.read()
        session = keys.session(session_id.decode())
        wait_until(lambda: store.hget(session, "state") == b"cancelled", "its worker stops processing it")
    if stream == "true":
        *_, answer = [line.removeprefix(b"data: ") for line in answer.splitlines() if line.startswith(b"data: ")]
    assert response.status == (200 if stream == "true" else 401)
    assert json.loads(answer)["error"]["code"] == "invalid_api_key"


def naming(model: str) -> dict[str, Any]:
    """A session that names its model."""
    return {"type": "transcription", "audio": {"input": {"transcription": {"model": model}}}}


def test_log_tells_whose_key_has_opened_a_session(keyed_stack: Stack, key_list: KeyList) -> None:
    headers, body = multipart(silent_wav(1), model="echo")
    response, _ = request(keyed_stack, "POST", PATH, headers | {"X-API-Key": key_list.keys["anna"]}, body)
    assert response.status == 200
    opened = [line for line in keyed_stack.log("session_opened") if line["queue"] == "batch"]
    assert (opened[-1]["name"], opened[-1]["process"]) == ("anna", "web")


@contextmanager
def half_sent(stack: Stack, key: str) -> Iterator[http.client.HTTPConnection]:
    """An upload whose last byte is still to come."""
    connection = http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=limit_s(20))
    headers, body = multipart(silent_wav(1), model="echo")
    connection.putrequest("POST", PATH)
    for name, value in (headers | {"Content-Length": str(len(body)), "X-API-Key": key}).items():
        connection.putheader(name, value)
    connection.endheaders(body[:-1])
    try:
        yield connection
    finally:
        connection.close()


def finished(upload: http.client.HTTPConnection) -> dict[str, Any]:
    """Sends the last byte; the error that is answered."""
    upload.send(b"\n")
    response = upload.getresponse()
    assert response.status == 401
    error: dict[str, Any] = json.load(response)["error"]
    return error
