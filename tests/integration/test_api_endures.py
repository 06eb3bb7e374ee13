"""Uploads that are too large, break off, or whose client leaves; and what a client hears while it waits."""

import contextlib
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.integration.api_clients import multipart, post_form, silent_wav, wav_of
from tests.integration.decoding import decoders_of_process
from tests.integration.native_clients import base64_of, open_client, reset, tell
from tests.limits import limit_s
from tests.speech import SENTENCES, conversation
from tests.stack import Stack, wait_until

PATH = "/v1/audio/transcriptions"


@contextlib.contextmanager
def upload(
    stack: Stack, file: bytes = b"", size_bytes: int | None = None, **fields: str
) -> Iterator[tuple[socket.socket, bytes]]:
    """A socket on which the head of an upload has been sent, and the body that belongs to it."""
    headers, body = multipart(file, **fields)
    size = len(body) if size_bytes is None else size_bytes
    media_type = headers["content-type"]
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\nContent-Type: {media_type}\r\n\r\n"
    address = urlsplit(stack.web_url)
    with socket.create_connection((address.hostname, address.port), timeout=limit_s(10)) as connection:
        connection.sendall(head.encode())
        yield connection, body


@pytest.fixture(scope="module")
def long_speech() -> bytes:
    """Five minutes: far longer to decode than a test waits."""
    return wav_of(np.tile(conversation(sentences=SENTENCES[:3]), 30)[: 300 * 16_000])


def test_oversize_is_answered_while_the_client_still_sends(stack: Stack) -> None:
    limit = stack.settings.server.max_upload_bytes
    with upload(stack, size_bytes=limit + 1) as (connection, _):
        for _ in range(64):
            connection.sendall(bytes(65_536))
        answer = connection.recv(65_536)
        connection.sendall(bytes(65_536))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    error = json.loads(body)["error"]
    assert error["message"] == f"The body of {limit + 1} bytes is over the limit of {limit} bytes."


def test_client_that_waits_for_100_continue_sends_no_oversize_body(stack: Stack) -> None:
    limit = stack.settings.server.max_upload_bytes
    address = urlsplit(stack.web_url)
    with socket.create_connection((address.hostname, address.port), timeout=limit_s(10)) as connection:
        connection.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {limit + 1}\r\nExpect: 100-continue\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
        )
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_upload_that_breaks_off_takes_no_slot(stack: Stack) -> None:
    errors = stack.output("web").count("internal_error")
    earlier = stack.slots_held()
    with upload(stack, file=silent_wav(60), model="echo") as (connection, body):
        connection.sendall(body[: len(body) // 2])
    assert post_form(stack, PATH, silent_wav(1), model="echo")[0] == 200
    assert stack.output("web").count("internal_error") == errors
    wait_until(lambda: stack.slots_held() <= earlier, "it holds no slot")


@pytest.mark.parametrize("stream", ["false", "true"])
def test_client_that_leaves_frees_its_slot(whisper_stack: Stack, long_speech: bytes, stream: str) -> None:
    earlier = whisper_stack.slots_held()
    with upload(whisper_stack, file=long_speech, model="auto", stream=stream) as (connection, body):
        connection.sendall(body)
        wait_until(lambda: not whisper_stack.slots_held() <= earlier, "the upload has a slot")
        assert decoders_of_process(whisper_stack.processes["web"].pid)
    wait_until(lambda: whisper_stack.slots_held() <= earlier, "its slot is free")
    wait_until(lambda: not decoders_of_process(whisper_stack.processes["web"].pid), "its decoder has ended")


@pytest.mark.parametrize(("frontend", "is_reset"), [("websocket", False), ("web", False), ("tcp", True)])
def test_client_that_sends_its_next_message_and_leaves_frees_its_slot(
    whisper_stack: Stack, long_speech: bytes, frontend: str, is_reset: bool
) -> None:
    earlier = whisper_stack.slots_held()
    client = open_client(whisper_stack, frontend)
    tell(client, type="audio", audio_data=base64_of(long_speech))
    tell(client, type="ping")
    wait_until(lambda: not whisper_stack.slots_held() <= earlier, "the request has a slot")
    if is_reset:
        reset(client)
    else:
        client.close()
    wait_until(lambda: whisper_stack.slots_held() <= earlier, "its slot is free")


def test_stream_tells_how_far_it_is_before_and_between_texts(whisper_stack: Stack, long_speech: bytes) -> None:
    earlier = whisper_stack.slots_held()
    heard_s: list[float] = []
    with upload(whisper_stack, file=long_speech, model="auto", stream="true") as (connection, body):
        connection.sendall(body)
        with connection.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b": progress "):
                    told = json.loads(line.removeprefix(b": progress "))
                    assert told["heard_s"] <= told["received_s"] <= 300
                    heard_s.append(told["heard_s"])
                if heard_s and heard_s[-1] > 0:
                    break
    assert heard_s[0] == 0
    wait_until(lambda: whisper_stack.slots_held() <= earlier, "its slot is free")
