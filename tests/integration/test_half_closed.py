"""Clients that shut down their writing side after their request, as `nc -N` does, and read its answer."""

import asyncio
import http.client
import json
import socket
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

import pytest
import uvloop

from frontend.protocols.native.framing import FrameReader
from frontend.servers.transports import TcpTransport
from tests.integration.api_clients import multipart, silent_wav
from tests.stack import Stack

PATH = "/v1/audio/transcriptions"


def half_closed(stack: Stack, method: str, path: str, body: bytes = b"", **headers: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=20)
    connection.request(method, path, body or None, headers)
    connection.sock.shutdown(socket.SHUT_WR)
    return connection


@pytest.mark.parametrize("stream", ["false", "true"])
def test_upload_of_a_half_closed_client_is_answered(stack: Stack, stream: str) -> None:
    headers, form = multipart(silent_wav(20), stream=stream)
    with closing(half_closed(stack, "POST", PATH, form, **headers)) as connection:
        response = connection.getresponse()
        body = response.read().decode()
    assert response.status == 200
    if stream == "true":
        assert body.endswith("data: [DONE]\n\n")
    else:
        assert json.loads(body)["text"].endswith("seconds")


def test_small_requests_of_half_closed_clients_are_answered(stack: Stack) -> None:
    for path, status in (("/v1/models", 200), ("/v1/nothing", 404), ("/config.json", 200)):
        with closing(half_closed(stack, "GET", path)) as connection:
            response = connection.getresponse()
            response.read()
            assert response.status == status


def test_requests_in_a_row_are_all_answered(stack: Stack) -> None:
    address = urlsplit(stack.web_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answers.count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_slow_client_receives_all_that_was_sent_before_the_close(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_read_after_the_close())


async def _read_after_the_close() -> None:
    sent_bytes, closing = 0, asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent_bytes
        transport = TcpTransport(reader, writer, FrameReader(1024), frame=bytes)
        assert await transport.receive() is None
        while not writer.transport.get_write_buffer_size():
            await transport.send(bytes(4096))
            sent_bytes += 4096
            await asyncio.sleep(0)
        closing.set()
        await transport.close(1000, "")

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write_eof()
        await closing.wait()
        assert len(await reader.read()) == sent_bytes
        writer.close()
        await writer.wait_closed()
