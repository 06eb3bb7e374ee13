"""A real HTTP server on loopback that keeps what it receives, and answers as a test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return orjson.loads(self.body)


Answer = Callable[[Received], bytes]
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def status(number: int, *headers: str) -> bytes:
    """An answer without a body."""
    return "\r\n".join((f"HTTP/1.1 {number} Answer", *headers, "Content-Length: 0", "", "")).encode()


def whole(body: bytes) -> bytes:
    """An answer with this body."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@dataclass
class Receiver:
    host: str = "127.0.0.1"
    scheme: str = "http"
    port: int = 0
    received: list[Received] = field(default_factory=list)
    answer: Answer = lambda _: NO_CONTENT
    stays_open: bool = False
    """Whether the connection stays open after the answer, as if more followed."""
    repeats: bool = False
    """Whether the end of the answer, after its headers, is repeated without an end."""

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [one.json for one in self.received]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-1])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Received(method, path, headers, body)
            self.received.append(request)
            answer = self.answer(request)
            writer.write(answer)
            await writer.drain()
            while self.repeats:
                writer.write(answer.partition(b"\r\n\r\n")[2])
                await writer.drain()
            if self.stays_open:
                await reader.read()


@asynccontextmanager
async def receiving(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Receiver]:
    receiver = Receiver(host, "https" if tls else "http", **options)
    running: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        task.add_done_callback(running.discard)
        try:
            with suppress(asyncio.CancelledError):
                await receiver.serve(reader, writer)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
