"""What a connection without a key may have the server hold, at every door and in every way to show a key."""

import contextlib
import json
import socket
import struct
from collections.abc import Iterator

import pytest

from frontend.access.guard import STRANGER_MESSAGE_MAX
from tests.integration.native_clients import (
    FRONTENDS,
    Client,
    WebSocketClient,
    ask,
    base64_of,
    open_client,
    raw_frame,
    raw_socket,
    tone,
)
from tests.keys import KeyList
from tests.stack import Stack

MAX_CONNECTIONS = 12


@pytest.fixture(scope="module")
def small(key_list: KeyList, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service that asks for keys and takes few connections."""
    stack = Stack(
        tmp_path_factory.mktemp("small"),
        access={"keys_file": str(key_list.path)},
        server={"max_connections": MAX_CONNECTIONS},
        viewers={"max_per_process": MAX_CONNECTIONS, "max_per_session": MAX_CONNECTIONS},
    )
    try:
        stack.start("redis", "worker", *FRONTENDS, "health")
        yield stack
    finally:
        stack.stop_all()


def test_a_stranger_is_refused_by_the_header_of_a_long_message(small: Stack) -> None:
    for frontend in FRONTENDS:
        with raw_socket(small, frontend) as bare:
            size = STRANGER_MESSAGE_MAX + 1
            header = struct.pack("!I", size) if frontend == "tcp" else struct.pack("!BBH", 0x81, 0xFE, size) + bytes(4)
            bare.sendall(header)
            told = b""
            while received := bare.recv(4096):
                told += received
            assert b'"code":"unauthorized"' in told
            assert b"A key is required first" in told


def test_fragments_of_a_stranger_count_together(small: Stack) -> None:
    for frontend in ("websocket", "web"):
        with raw_socket(small, frontend) as bare, contextlib.suppress(ConnectionError):
            piece = bytes(1000)
            bare.sendall(b"\x01\xfe" + struct.pack("!H", len(piece)) + bytes(4) + b" " * len(piece))
            for _ in range(4):
                bare.sendall(b"\x00\xfe" + struct.pack("!H", len(piece)) + bytes(4) + b" " * len(piece))
            told = b""
            while received := bare.recv(4096):
                told += received
            assert b'"code":"unauthorized"' in told


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_a_key_and_what_it_is_for_may_come_in_one_go(small: Stack, key_list: KeyList, frontend: str) -> None:
    """The limit rises with the key, even for a message that has come before the key was looked at."""
    request = json.dumps({"type": "audio", "audio_data": base64_of(tone(0.5) * 20)}).encode()
    auth = json.dumps({"type": "auth", "key": key_list.keys["anna"]}).encode()
    with raw_socket(small, frontend) as bare:
        bare.sendall(raw_frame(frontend, auth) + raw_frame(frontend, request))
        told = b""
        while b'"type":"response"' not in told:
            received = bare.recv(4096)
            assert received, told
            told += received
        assert b'"type":"authorized"' in told


@pytest.mark.parametrize("frontend", ["websocket", "web"])
@pytest.mark.parametrize("shown", ["header", "subprotocol"])
def test_a_key_in_the_handshake_raises_the_limit(small: Stack, key_list: KeyList, frontend: str, shown: str) -> None:
    key = key_list.keys["anna"]
    if shown == "header":
        client = open_client(small, frontend, additional_headers={"X-API-Key": key})
    else:
        client = open_client(small, frontend, subprotocols=["realtime", f"openai-insecure-api-key.{key}"])
    with contextlib.closing(client):
        assert ask(client, type="audio", audio_data=base64_of(tone(0.5) * 20))["type"] == "response"


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_strangers_of_one_address_are_few_and_leave_room_for_those_with_a_key(
    small: Stack, key_list: KeyList, frontend: str
) -> None:
    def knock() -> Client:
        return opened.enter_context(contextlib.closing(open_client(small, frontend)))

    with contextlib.ExitStack() as opened:
        strangers = [knock() for _ in range(MAX_CONNECTIONS // 4)]
        assert [ask(stranger, type="ping")["type"] for stranger in strangers] == ["pong"] * len(strangers)
        error = knock().receive()
        assert error is not None
        assert (error["code"], error["retry_after_s"]) == ("server_busy", 1)
        assert "3 connections of your address have presented no key" in error["message"]
        assert ask(strangers[0], type="auth", key=key_list.keys["anna"])["type"] == "authorized"
        assert ask(knock(), type="ping")["type"] == "pong"
        if frontend != "tcp":
            known = open_client(small, frontend, additional_headers={"X-API-Key": key_list.keys["anna"]})
            assert isinstance(opened.enter_context(contextlib.closing(known)), WebSocketClient)
            assert ask(known, type="status")["type"] == "status"


def test_a_handshake_that_does_not_end_is_cut_off(small: Stack) -> None:
    for frontend in ("websocket", "web"):
        ports = {"websocket": small.settings.websocket_port, "web": small.settings.server.http_port}
        with socket.create_connection(("127.0.0.1", ports[frontend]), 15) as bare:
            bare.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            with contextlib.suppress(ConnectionError):
                for number in range(80):
                    bare.sendall(f"X-{number}: {'a' * 1000}\r\n".encode())
                while bare.recv(4096):
                    pass


def test_an_upload_without_a_key_is_refused_before_its_body_comes(small: Stack) -> None:
    for path, kind in (
        ("audio/transcriptions", "multipart/form-data; boundary=b"),
        ("chat/completions", "application/json"),
    ):
        with socket.create_connection(("127.0.0.1", small.settings.server.http_port), 15) as bare:
            head = f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
            bare.sendall(f"{head}Content-Length: 400000000\r\n\r\n".encode())
            assert bare.recv(4096).startswith(b"HTTP/1.1 401")


def test_silent_connections_make_room_for_others(small: Stack, key_list: KeyList) -> None:
    """However many come, they block no client, also between requests; connections with a request stay."""
    server = small.settings.server
    room = {
        "websocket": (server.tcp_ports[0], 2 * MAX_CONNECTIONS),
        "web": (server.http_port, 2 * MAX_CONNECTIONS + small.settings.viewers.max_per_process),
    }
    for frontend, (port, most) in room.items():
        key = {"X-API-Key": key_list.keys["anna"]}
        with contextlib.ExitStack() as opened:
            known = open_client(small, frontend, additional_headers=key)
            opened.enter_context(contextlib.closing(known))
            silent = [
                opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=15)) for _ in range(most)
            ]
            if frontend == "web":
                for idle in silent:
                    with contextlib.suppress(ConnectionError):  # the first had to make room already
                        idle.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        assert idle.recv(12) in (b"HTTP/1.1 401", b"")
            late = opened.enter_context(contextlib.closing(open_client(small, frontend, additional_headers=key)))
            assert [ask(client, type="ping")["type"] for client in (known, late)] == ["pong", "pong"]
            with contextlib.suppress(ConnectionError):
                while silent[0].recv(4096):
                    pass
