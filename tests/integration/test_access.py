"""Which clients are admitted, on every port of a service that requires keys."""

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from websockets.exceptions import InvalidStatus

from frontend.access.tokens import digest
from frontend.client import ServerError, TranscriptionClient
from shared.bus import keys
from tests.command import run
from tests.integration.api_clients import request
from tests.integration.native_clients import (
    FRONTENDS,
    Client,
    WebSocketClient,
    ask,
    base64_of,
    open_client,
    tell,
    tone,
    until,
    wav,
)
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack

WRONG = "vox_wrong-key-of-nobody"
SECRETS_PATH = "/v1/realtime/client_secrets"


@pytest.fixture
def enter(keyed_stack: Stack) -> Iterator[Callable[..., Client]]:
    """Opens a client at a door, with a key in the first message."""
    with contextlib.ExitStack() as opened:

        def enter(frontend: str, key: str | None = None, **options: Any) -> Client:
            client = open_client(keyed_stack, frontend, **options)
            opened.callback(client.close)
            if key is not None:
                assert ask(client, type="auth", key=key, id=1) == {"type": "authorized", "id": 1}
            return client

        yield enter


def is_shut(client: Client, error: dict[str, Any] | None) -> bool:
    """Whether the client got the error that its key is wrong, and the connection was closed."""
    assert error is not None
    assert (error["type"], error["code"]) == ("error", "unauthorized"), error
    assert client.receive() is None
    return not isinstance(client, WebSocketClient) or client.close_code == 4401


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize("key", [WRONG, "late", ""], ids=["wrong", "expired", "empty"])
def test_auth_message_with_a_bad_key_is_refused(
    enter: Callable[..., Client], key_list: KeyList, frontend: str, key: str
) -> None:
    client = enter(frontend)
    answer = ask(client, type="auth", key=key_list.keys.get(key, key))
    if key:
        assert is_shut(client, answer)
    else:
        assert answer["code"] == "invalid_field"


@pytest.mark.parametrize("frontend", FRONTENDS)
@pytest.mark.parametrize(
    "message",
    ['{"type": "start"}', '{"type": "status"}', b"\x00\x00", " " * 5000],
    ids=["start", "status", "audio", "long"],
)
def test_nothing_is_done_without_a_key(enter: Callable[..., Client], frontend: str, message: str | bytes) -> None:
    client = enter(frontend)
    assert ask(client, type="ping")["type"] == "pong"
    if isinstance(message, bytes):
        client.send_audio(message)
    else:
        client.send_text(message)
    assert is_shut(client, client.receive())


@pytest.mark.parametrize("frontend", ["websocket", "web"])
@pytest.mark.parametrize("header", ["Authorization", "X-API-Key", "subprotocol"])
def test_handshake_may_carry_the_key(
    enter: Callable[..., Client], key_list: KeyList, frontend: str, header: str
) -> None:
    for key, is_good in ((key_list.keys["anna"], True), (WRONG, False), (key_list.keys["late"], False)):
        client = enter(frontend, **handshake(header, key))
        assert isinstance(client, WebSocketClient)
        assert client.connection.subprotocol == ("realtime" if header == "subprotocol" else None)
        if is_good:
            assert ask(client, type="start")["type"] == "ready"
        else:
            assert is_shut(client, client.receive())


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_auth_message_opens_the_door(enter: Callable[..., Client], key_list: KeyList, frontend: str) -> None:
    client = enter(frontend, key_list.keys["anna"])
    reply = ask(client, type="audio", audio_data=base64_of(wav(0.5)))
    assert reply["type"] == "response"


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_auth_message_is_answered_where_no_key_is_needed(stack: Stack, frontend: str) -> None:
    client = open_client(stack, frontend)
    assert ask(client, type="auth", key="anything") == {"type": "authorized"}
    client.close()


def test_revoked_key_ends_sessions_and_connections_at_every_door(
    keyed_stack: Stack, enter: Callable[..., Client], key_list: KeyList
) -> None:
    name = key_list.unused("leaving")
    key = key_list.keys[name]
    _, secret = post(keyed_stack, {}, key)
    speaking = [enter(frontend, key) for frontend in FRONTENDS]
    speaking.append(enter("web", **handshake("subprotocol", secret["value"])))
    for client in speaking:
        assert ask(client, type="start")["type"] == "ready"
        client.send_audio(tone(0.5))
    silent = [enter(frontend, key) for frontend in FRONTENDS]
    staying = enter("tcp", key_list.keys["anna"])
    assert ask(staying, type="start")["type"] == "ready"
    key_list.remove(name)
    key_list.write()
    for client in speaking:
        error = until(client, "error")[-1]
        assert (error["code"], "seq" in error) == ("unauthorized", True)
        assert error["message"] == f"The key {name} has been revoked or has expired."
        assert is_shut(client, until(client, "error")[-1])
    for client in silent:
        assert is_shut(client, client.receive())
    tell(staying, type="stop")
    assert until(staying, "done")
    assert post(keyed_stack, {}, secret["value"])[0].status == 401


def test_bad_list_keeps_the_former_keys_and_is_logged(
    keyed_stack: Stack, enter: Callable[..., Client], key_list: KeyList
) -> None:
    key_list.write("- {name: broken}\n")
    last_line = len(key_list.path.read_text().splitlines())
    client = enter("websocket", key_list.keys["anna"])
    while not keyed_stack.log("access_list_rejected"):
        assert ask(client, type="ping")["type"] == "pong"
    (rejected,) = {line["reason"] for line in keyed_stack.log("access_list_rejected")}
    assert f"line {last_line}: 'sha256' is missing" in rejected
    assert ask(enter("tcp", key_list.keys["anna"]), type="status")["type"] == "status"
    key_list.write()


def test_client_token_opens_doors_but_makes_no_others(
    keyed_stack: Stack, enter: Callable[..., Client], key_list: KeyList
) -> None:
    session = {"type": "transcription", "audio": {"input": {"transcription": {"language": "en"}}}}
    wanted = {"expires_after": {"anchor": "created_at", "seconds": 30}, "session": session}
    response, made = post(keyed_stack, wanted, key_list.keys["anna"])
    assert (response.status, made["session"]["audio"]["input"]["transcription"]["language"]) == (200, "en")
    token = made["value"]
    for header in ("Authorization", "subprotocol"):
        assert ask(enter("websocket", **handshake(header, token)), type="start")["type"] == "ready"
    assert ask(enter("tcp", token), type="start")["type"] == "ready"
    response, body = post(keyed_stack, {}, token)
    assert (response.status, body["error"]["code"]) == (403, "forbidden")
    with redis.Redis.from_url(keyed_stack.redis_url) as store:
        held = keys.client_secret(digest(token))
        assert token.encode() not in store.get(held)
        assert 0 < store.ttl(held) <= 30
        store.delete(held)  # as its time does
    client = enter("web", **handshake("Authorization", token))
    assert is_shut(client, client.receive())


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b'{"expires_after": {"seconds": 9}}', 400, "expires_after.seconds"),
        (b'{"expires_after": {"seconds": 7201}}', 400, "expires_after.seconds"),
        (b'{"expires_after": {"seconds": true}}', 400, "expires_after.seconds"),
        (b'{"expires_after": 60}', 400, "expires_after"),
        (b'{"expires_after": {"anchor": "birth"}}', 400, "expires_after.anchor"),
        (b'{"session": "x"}', 400, "session"),
        (b'{"session": {"type": "realtime", "model": "gpt-realtime"}}', 400, "session.type"),
        (b'{"session": {"input_audio_format": "pcm16"}}', 400, "session.input_audio_format"),
        (b'{"session": {"type": "transcription", "x": [1]}}', 400, "session.x"),
        (b'{"session": {}}', 200, None),
        (b'{"session": null}', 200, None),
        (b"[]", 400, None),
        (b"{", 400, None),
        (b" " * 70_000, 413, None),
        (b"", 200, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_client_token_request_is_checked(
    keyed_stack: Stack, key_list: KeyList, body: bytes, status: int, param: str | None
) -> None:
    response, answer = post(keyed_stack, body, key_list.keys["anna"])
    assert response.status == status
    assert status == 200 or answer["error"]["param"] == param


def test_http_needs_a_key(keyed_stack: Stack, key_list: KeyList) -> None:
    for key in (None, WRONG, key_list.keys["late"]):
        response, body = post(keyed_stack, {}, key)
        assert (response.status, body["error"]["code"]) == (401, "invalid_api_key")
        assert response.headers["www-authenticate"] == "Bearer"
    response, _ = post(keyed_stack, {}, None, {"X-API-Key": key_list.keys["anna"]})
    assert response.status == 200


def test_foreign_pages_are_kept_out_of_every_door(keyed_stack: Stack, key_list: KeyList) -> None:
    key = key_list.keys["anna"]
    for frontend in ("websocket", "web"):
        with pytest.raises(InvalidStatus) as refused:
            open_client(keyed_stack, frontend, origin="https://evil.example", **handshake("Authorization", key))
        assert refused.value.response.status_code == 403
        client = open_client(keyed_stack, frontend, origin="https://voice.example", **handshake("Authorization", key))
        assert ask(client, type="status")["type"] == "status"
        client.close()
    response, body = post(keyed_stack, {}, key, {"Origin": "https://evil.example"})
    assert (response.status, body["error"]["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in response.headers
    response, _ = post(keyed_stack, {}, key, {"Origin": "https://voice.example"})
    assert (response.status, response.headers["access-control-allow-origin"]) == (200, "https://voice.example")


def test_listed_page_may_send_the_headers_of_any_sdk(keyed_stack: Stack) -> None:
    asked = {
        "Origin": "https://voice.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-arch,x-stainless-lang",
    }
    response, _ = request(keyed_stack, "OPTIONS", "/v1/chat/completions", asked)
    assert response.status == 200
    assert response.headers["access-control-allow-origin"] == "https://voice.example"
    assert "x-stainless-lang" in response.headers["access-control-allow-headers"]
    response, _ = request(keyed_stack, "OPTIONS", "/v1/chat/completions", asked | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers


def test_cors_is_off_unless_origins_are_listed(stack: Stack) -> None:
    response, _ = post(stack, {}, None, {"Origin": stack.web_url})
    assert response.status == 200
    assert "access-control-allow-origin" not in response.headers
    assert post(stack, {}, None, {"Origin": "https://evil.example"})[0].status == 403


async def test_python_client_shows_its_key(keyed_stack: Stack, key_list: KeyList) -> None:
    async with TranscriptionClient(keyed_stack.ws_url, key=key_list.keys["anna"]) as client:
        async with client.live() as session:
            await session.send(tone(0.3))
            await session.stop()
            assert [event async for event in session]
        assert (await client.transcribe(wav(0.5))).text
    for key in (None, WRONG):
        async with TranscriptionClient(keyed_stack.ws_url, key=key) as client:
            with pytest.raises(ServerError, match="key is"):
                await client.transcribe(wav(0.1))


def test_command_line_shows_its_key(keyed_stack: Stack, key_list: KeyList, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(0.5))
    key = key_list.keys["anna"]
    done = run(keyed_stack, "transcribe", tmp_path / "a.wav", VOXTRAL_KEY=key)
    assert (done.returncode, "seconds" in done.stdout) == (0, True), done.stderr
    refused = run(keyed_stack, "transcribe", "--key", WRONG, tmp_path / "a.wav")
    assert (refused.returncode, "The key is wrong or has expired." in refused.stderr) == (4, True), refused.stderr
    asked = run(keyed_stack, "transcribe", tmp_path / "a.wav", tmp_path / "a.wav")
    assert (asked.returncode, asked.stdout) == (4, f"==> {tmp_path / 'a.wav'} <==\n"), asked
    assert asked.stderr == "Error: The service requires a key: set VOXTRAL_KEY, or use --key.\n"
    asked = run(keyed_stack, "transcribe", tmp_path / "a.wav", "--key", "")
    assert asked.stderr == "Error: The service requires a key: set VOXTRAL_KEY, or use --key.\n"


def test_no_key_gets_into_a_log(keyed_stack: Stack, key_list: KeyList) -> None:
    written = "".join(path.read_text(errors="replace") for path in keyed_stack.folder.rglob("*.log*"))
    written += "".join(keyed_stack.output(label) for label in keyed_stack.processes)
    assert "access_list_read" in written or "listening" in written
    for secret in (*key_list.keys.values(), *(digest(key) for key in key_list.keys.values()), WRONG, "ek_"):
        assert secret not in written


def handshake(header: str, key: str) -> dict[str, Any]:
    """Options of a WebSocket handshake with this key."""
    match header:
        case "Authorization":
            return {"additional_headers": {"Authorization": f"Bearer {key}"}}
        case "subprotocol":
            return {"subprotocols": ["realtime", f"openai-insecure-api-key.{key}"]}
        case _:
            return {"additional_headers": {header: key}}


def post(
    stack: Stack, body: dict[str, Any] | bytes, key: str | None, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, dict[str, Any]]:
    """Asks for a client token."""
    connection = http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=limit_s(5))
    headers = (headers or {}) | ({} if key is None else {"Authorization": f"Bearer {key}"})
    try:
        connection.request("POST", SECRETS_PATH, body if isinstance(body, bytes) else json.dumps(body), headers)
        response = connection.getresponse()
        return response, json.loads(response.read())
    finally:
        connection.close()
