"""A wire to a local port that can break: cut, refuse, or go dead while both ends still believe in it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Wire:
    """Made by `wire_to`."""

    def __init__(self, port: int) -> None:
        self._far_port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._alive = asyncio.Event()
        self._alive.set()
        self.refuses = False
        """Whether new connections end at once."""
        self.connections = 0
        """How many there have been."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every connection off, as a reset."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def freeze(self) -> None:
        """Carry nothing more over the connections of now, and end none of them."""
        self._alive.clear()
        self._alive = asyncio.Event()
        self._alive.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuses:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far_port)
        self._writers += (writer, far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink, self._alive))
            self._tasks.add(pump)
            pump.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for pump in list(self._tasks):
            pump.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut()

    @staticmethod
    async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, alive: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while received := await source.read(65536):
                await alive.wait()
                sink.write(received)
                await sink.drain()
            sink.transport.abort()


@contextlib.asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    wire = Wire(port)
    async with await asyncio.start_server(wire.carry, "127.0.0.1", 0) as server:
        wire.port = server.sockets[0].getsockname()[1]
        try:
            yield wire
        finally:
            await wire.close()
