"""A proxy to a local port that can fail: reset, reject, or go silent while both ends keep the connection."""

import asyncio
import contextlib
import socket
import struct
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
        """Number of connections so far."""
        self.port = 0
        self.swallowed = asyncio.Event()
        """Set when a client has sent something over a frozen connection."""
        self.carried_bytes = 0
        """Bytes received from all clients."""
        self._late: asyncio.Future[None] | None = None
        self.holds = asyncio.Event()
        """Set when the connection of `hold_next` has sent something that is held back."""

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every connection on both sides, as a network failure does: without a close."""
        for writer in self._writers:
            held: socket.socket | None = writer.get_extra_info("socket")
            if held is not None:
                with contextlib.suppress(OSError):  # it has been closed already
                    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()

    def freeze(self) -> None:
        """Carry nothing more over the current connections, and close none of them."""
        self._alive.clear()
        self._alive = asyncio.Event()
        self._alive.set()

    def hold_next(self) -> None:
        """Let the next connection open, and hold back what its client sends then, even after the client is gone."""
        self._late = asyncio.get_running_loop().create_future()

    def deliver(self) -> None:
        """Deliver what is held back."""
        assert self._late is not None
        self._late.set_result(None)
        self._late = None

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuses:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.append(writer)
        if self._late is not None and not self.holds.is_set():
            pumps = [self._pump_late(reader, far_writer, self._late), self._pump(far_reader, writer, self._alive)]
        else:
            self._writers.append(far_writer)
            asking = self._pump(reader, far_writer, self._alive, is_client=True)
            pumps = [asking, self._pump(far_reader, writer, self._alive)]
        for pumping in pumps:
            pump = asyncio.create_task(pumping)
            self._tasks.add(pump)
            pump.add_done_callback(self._tasks.discard)

    async def opens(self, connections: int) -> None:
        """Wait until there have been so many connections."""
        while self.connections < connections:  # noqa: ASYNC110 -- the condition is the client's
            await asyncio.sleep(0.01)

    async def carries(self, count_bytes: int) -> None:
        """Wait until clients have sent so much."""
        while self.carried_bytes < count_bytes:  # noqa: ASYNC110 -- the condition is the client's
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        for pump in list(self._tasks):
            pump.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut()

    async def _pump_late(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, late: "asyncio.Future[None]"
    ) -> None:
        try:
            sink.write(await source.readuntil(b"\r\n\r\n"))  # the handshake
            held = await source.read(65536)
            self.holds.set()
            await late
            sink.write(held)
            await asyncio.Event().wait()  # the server still considers the connection open
        finally:
            sink.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        alive: asyncio.Event,
        *,
        is_client: bool = False,
    ) -> None:
        with contextlib.suppress(OSError):
            while received := await source.read(65536):
                if is_client:
                    self.carried_bytes += len(received)
                    if not alive.is_set():
                        self.swallowed.set()
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
