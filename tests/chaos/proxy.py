"""A TCP proxy whose connections can be cut, as networks do it: without a goodbye."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator


class CuttableProxy:
    """Forwards to one port of this machine. Make it with `running`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, target_port: int) -> AsyncIterator["CuttableProxy"]:
        proxy = cls(target_port)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1")
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()

    @property
    def connections(self) -> int:
        return len(self._writers) // 2

    def cut(self) -> int:
        """Reset every connection on both sides; how many there were."""
        count = self.connections
        for writer in list(self._writers):
            held: socket.socket | None = writer.get_extra_info("socket")
            if held is not None:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return count

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        self._writers -= {writer, far_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(65_536):
            writer.write(block)
            await writer.drain()
    writer.close()
