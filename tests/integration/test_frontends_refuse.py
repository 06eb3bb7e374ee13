"""Every error of the protocol's table, from every frontend: what is said, and what becomes of the connection."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.native_clients import (
    FRONTENDS,
    Client,
    TcpClient,
    WebSocketClient,
    ask,
    base64_of,
    open_client,
    raw_frame,
    raw_socket,
    tell,
    tone,
    until,
    wav,
)
from tests.stack import Stack, serving, wait_until

SECOND = tone(1)
LIMIT_BYTES = 256 * 1024
IDLE_S = 1.0


@pytest.fixture(params=FRONTENDS)
def frontend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(stack: Stack, frontend: str) -> Iterator[Client]:
    opened = open_client(stack, frontend)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with narrow limits, and one worker with two slots."""
    stack = Stack(
        tmp_path_factory.mktemp("strict"),
        server={"max_message_bytes": LIMIT_BYTES, "max_connections": 8},
        model={"slots": 2},
        audio={"max_duration_s": 3, "max_question_s": 5},
        session={"claim_timeout_s": 1},
    )
    with serving(stack):
        yield stack


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service that gives silent clients up soon."""
    with serving(Stack(tmp_path_factory.mktemp("hasty"), session={"idle_timeout_s": IDLE_S})) as service:
        yield service


@pytest.fixture
def strict_client(strict: Stack, frontend: str) -> Iterator[Client]:
    opened = open_client(strict, frontend)
    yield opened
    opened.close()


@pytest.fixture
def hasty_client(hasty: Stack, frontend: str) -> Iterator[Client]:
    opened = open_client(hasty, frontend)
    yield opened
    opened.close()


def refused(client: Client, code: str, **message: Any) -> dict[str, Any]:
    """Send what is to be refused, and see that the connection works on."""
    error = ask(client, **message)
    assert error["type"] == "error"
    assert error["code"] == code, error
    assert error["message"].endswith(".")
    assert ask(client, type="ping", id="still here")["id"] == "still here"
    return error


# --- the connection stays open ------------------------------------------------------------------------------------


def test_invalid_json(client: Client) -> None:
    for text in ("{", "{'type': 'ping'}", '{"type": "ping"', "{" * 5000):
        client.send_text(text)
        assert (client.receive() or {})["code"] == "invalid_json"
    assert ask(client, type="ping")["type"] == "pong"


def test_unknown_type(client: Client) -> None:
    assert "audio, ping, status, start" in refused(client, "unknown_type", type="nonsense", id=1)["message"]


def test_audio_before_start(client: Client) -> None:
    client.send_audio(SECOND)
    error = client.receive() or {}
    assert error["code"] == "unknown_type"
    assert "binary audio was sent while no session is live; expected now: " in error["message"]


def test_missing_and_invalid_fields(client: Client) -> None:
    assert refused(client, "missing_field", type="audio", id="a")["id"] == "a"
    assert "transcribe, understand, general" in refused(client, "invalid_field", type="start", mode="x")["message"]
    assert "allowed: auto, echo." in refused(client, "invalid_field", type="start", model="other")["message"]


def test_language_beside_languages_is_one_of_them(client: Client) -> None:
    told = "language is 'fr'; allowed: one of languages (en, de), or null to detect which of them."
    options = {"languages": ["en", "de"], "commit_delay": "fast"}
    assert refused(client, "invalid_field", type="start", language="fr", **options)["message"] == told
    assert ask(client, type="start", **options)["type"] == "ready"
    assert refused(client, "invalid_field", type="configure", language="fr")["message"] == told


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("invalid_audio", {"audio_data": "not base64!"}),
        ("invalid_audio", {"audio_data": ""}),
        ("invalid_audio", {"audio_data": base64_of(b"\x00"), "encoding": "pcm_s16le"}),
        ("invalid_audio", {"audio_data": base64_of(b"\x00\x00\xc0\x7f" * 400), "encoding": "pcm_f32le"}),
        ("invalid_audio", {"audio_data": base64_of(wav(1)[:20_000]), "strict": True}),
        ("invalid_field", {"audio_data": base64_of(wav(1)), "strict": "yes"}),
        ("invalid_audio", {"audio_data": base64_of(wav(1)[:30])}),
        ("invalid_audio", {"audio_data": base64_of(wav(1)[:20] + b"\x55\x00" + wav(1)[22:])}),  # said to be MP3
        ("unsupported_audio", {"audio_data": base64_of(wav(1)[:20] + b"\x4f\x4f" + wav(1)[22:])}),  # unknown
    ],
)
def test_wrong_audio(client: Client, code: str, fields: dict[str, Any]) -> None:
    assert refused(client, code, type="audio", id="w", **fields)["id"] == "w"


def test_audio_too_long(strict_client: Client) -> None:
    error = refused(strict_client, "audio_too_long", type="audio", audio_data=base64_of(SECOND * 4))
    assert "3 s" in error["message"]
    error = refused(strict_client, "audio_too_long", type="audio", audio_data=base64_of(SECOND * 6), mode="general")
    assert "5 s" in error["message"]
    reply = ask(strict_client, type="audio", audio_data=base64_of(SECOND * 4), mode="understand")
    assert reply["type"] == "response"


def test_mode_and_language_of_another_model(whisper_stack: Stack, frontend: str) -> None:
    client = open_client(whisper_stack, frontend)
    error = refused(client, "mode_unsupported", type="audio", audio_data=base64_of(SECOND), mode="understand")
    assert "Voxtral-Mini-3B" in error["message"]
    assert "en" in refused(client, "invalid_field", type="start", language="zzz")["message"]
    client.close()


def test_server_busy(strict: Stack, frontend: str) -> None:
    with contextlib.ExitStack() as opened:
        client, *holders = (opened.enter_context(contextlib.closing(open_client(strict, frontend))) for _ in range(3))
        for holder in holders:
            start_when_free(holder)
        assert refused(client, "server_busy", type="start")["retry_after_s"] > 0
        assert refused(client, "server_busy", type="audio", audio_data=base64_of(SECOND), id=5)["id"] == 5
        # Messages that a client sends before it has read the rejection are ignored.
        tell(client, type="start")
        client.send_audio(SECOND)
        tell(client, type="stop")
        assert [message["type"] for message in ask_twice(client)] == ["error", "pong"]
        for holder in holders:
            tell(holder, type="cancel")
            ask(holder, type="ping")


def start_when_free(client: Client) -> None:
    """A session that was cancelled gives its slot back a moment later."""
    wait_until(lambda: ask(client, type="start")["type"] == "ready", "a slot is free")


def ask_twice(client: Client) -> list[dict[str, Any]]:
    """The waiting messages, and the reply to a ping after them."""
    return [ask(client, type="ping"), client.receive() or {}]


def test_sessions_that_cannot_be_resumed(client: Client) -> None:
    refused(client, "session_unknown", type="resume", session_id="0123456789abcdef", resume_token="x", seq=0)
    ready = ask(client, type="start")
    tell(client, type="cancel")
    claim = {"session_id": ready["session_id"], "seq": 1}
    refused(client, "session_unknown", type="resume", resume_token="wrong", **claim)
    refused(client, "session_expired", type="resume", resume_token=ready["resume_token"], **claim)


def test_model_unavailable(strict: Stack, frontend: str) -> None:
    strict.stop("worker")
    client = open_client(strict, frontend)
    try:
        wait_until(lambda: ask(client, type="start")["code"] == "model_unavailable", "the worker is missed")
        assert refused(client, "model_unavailable", type="audio", audio_data=base64_of(SECOND))["retry_after_s"] > 0
    finally:
        client.close()
        strict.start("worker")


# --- the connection ends ------------------------------------------------------------------------------------------


def test_message_too_large(strict_client: Client) -> None:
    tell(strict_client, type="audio", audio_data="A" * LIMIT_BYTES)
    assert (strict_client.receive() or {})["code"] == "message_too_large"
    assert strict_client.receive() is None
    if isinstance(strict_client, WebSocketClient):
        assert strict_client.close_code == 1009


def test_message_too_large_is_refused_by_its_header(strict: Stack) -> None:
    client = open_client(strict, "tcp")
    assert isinstance(client, TcpClient)
    client.socket.sendall(b"\xff\xff\xff\xff")
    error = client.receive() or {}
    assert error["code"] == "message_too_large"
    assert "4294967295 bytes" in error["message"]
    assert client.receive() is None
    client.close()


def test_frame_invalid_on_tcp(stack: Stack) -> None:
    client = open_client(stack, "tcp")
    assert isinstance(client, TcpClient)
    client.socket.sendall(raw_frame("tcp", b'{"type": "ping"}') + bytes(4))
    assert (client.receive() or {})["type"] == "pong"
    assert (client.receive() or {})["code"] == "frame_invalid"
    assert client.receive() is None
    client.close()


@pytest.mark.parametrize("frontend", ["websocket", "web"], indirect=True)
def test_frame_invalid_on_a_websocket(stack: Stack, frontend: str) -> None:
    with raw_socket(stack, frontend) as bare:
        bare.sendall(b"\xf1\x80" + bytes(4))  # reserved bits set
        told = b""
        while b"\x88" not in told:
            told += bare.recv(500)
        error, _, close = told.partition(b"\x88")
        assert json.loads(error[2:] if error[1] < 126 else error[4:])["code"] == "frame_invalid"
        assert close[1:3] == (1002).to_bytes(2, "big")


def test_idle_timeout(hasty_client: Client) -> None:
    error = hasty_client.receive() or {}
    assert error["code"] == "idle_timeout"
    assert hasty_client.receive() is None


def test_idle_timeout_of_a_live_session(hasty_client: Client) -> None:
    assert ask(hasty_client, type="start")["type"] == "ready"
    hasty_client.send_audio(SECOND)
    assert until(hasty_client, "error")[-1]["code"] == "idle_timeout"
    while hasty_client.receive() is not None:
        pass


def test_a_client_that_talks_is_not_idle(hasty_client: Client) -> None:
    assert ask(hasty_client, type="start")["type"] == "ready"
    for _ in range(8):
        hasty_client.send_audio(SECOND[:640])
        until(hasty_client, "partial")
        time.sleep(IDLE_S / 4)  # the passing of time is the subject
    assert ask(hasty_client, type="ping")["type"] == "pong"


@pytest.mark.parametrize("frontend", ["websocket", "tcp"])
def test_a_message_may_take_longer_than_the_idle_timeout(hasty: Stack, frontend: str) -> None:
    text = b'{"type": "audio", "audio_data": "%s"}' % base64_of(SECOND).encode()
    message = raw_frame(frontend, text)
    with raw_socket(hasty, frontend) as bare:
        for start in range(0, len(message), 5000):
            bare.sendall(message[start : start + 5000])
            time.sleep(IDLE_S / 4)  # the passing of time is the subject
        assert b'"type":"response"' in bare.recv(1000)


def test_connections_over_the_limit_are_told_so(strict: Stack, frontend: str) -> None:
    held = [open_client(strict, frontend) for _ in range(8)]
    for client in held:
        ask(client, type="ping")
    excess = open_client(strict, frontend)
    error = excess.receive() or {}
    assert error["code"] == "server_busy"
    assert error["retry_after_s"] > 0
    assert excess.receive() is None
    for client in (*held, excess):
        client.close()
