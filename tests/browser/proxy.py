"""A reverse proxy that serves another server under a path, as hosting services do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def proxied_under(path: str, port: int) -> AsyncIterator[str]:
    """The address under which the server at `port` is seen, such as `http://127.0.0.1:4711/some/path/`."""
    prefix = path.strip("/").encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, rest = head.split(b" ", 2)
            if not target.startswith(b"/" + prefix + b"/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
                # One request a connection, so that each one passes here.
                rest = rest.replace(b"Connection: keep-alive", b"Connection: close")
                upstream_writer.write(b" ".join((method, target.removeprefix(b"/" + prefix), rest)))
                await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{prefix.decode()}/"
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    writer.close()
