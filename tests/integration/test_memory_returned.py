"""What a connection has sent is given back with its end, whatever that is, and without the garbage collector's help."""

import asyncio
import contextlib
import gc
import os
import signal
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.client import connect

from frontend import tcp, web, websocket
from frontend.servers import direct_writes as wire
from shared.config.settings import Settings
from tests.chaos.large import ENDS, Large
from tests.limits import limit_s
from tests.stack import Stack, free_ports, listens

REQUEST_BYTES = 2_000_000
KEPT_BYTES = REQUEST_BYTES // 2
"""Less than the audio of one request, and more than what caches and logs may take."""
ATTEMPTS = 3
SERVERS: dict[str, Callable[[Settings], Awaitable[None]]] = {
    "tcp": tcp._serve,
    "websocket": websocket._serve,
    "web": web._serve,
}
DOORS = {"tcp": ("tcp",), "websocket": ("websocket",), "web": ("web", "upload", "chat")}


@pytest.fixture
def settings(stack: Stack) -> Settings:
    """The settings of a frontend in this process, on its own ports."""
    first, second, third, fourth = free_ports(4)
    server = stack.settings.server.model_copy(update={"http_port": first, "tcp_ports": [second, third]})
    wyoming = stack.settings.wyoming.model_copy(update={"port": fourth})
    return stack.settings.model_copy(update={"server": server, "wyoming": wyoming})


@contextlib.asynccontextmanager
async def serving(frontend: str, settings: Settings) -> AsyncIterator[None]:
    serving = asyncio.ensure_future(SERVERS[frontend](settings))
    ports = {"tcp": settings.tcp_port, "websocket": settings.websocket_port, "web": settings.server.http_port}
    while not await asyncio.to_thread(listens, ports[frontend]):
        assert not serving.done()
    try:
        yield
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await serving


@pytest.fixture
def uncollected() -> AsyncIterator[None]:
    """No garbage is collected meanwhile, and all memory is counted."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


@pytest.mark.parametrize("frontend", SERVERS)
async def test_what_a_connection_has_sent_is_given_back(settings: Settings, frontend: str, uncollected: None) -> None:
    async with serving(frontend, settings):
        large = Large(settings, REQUEST_BYTES)
        for door in DOORS[frontend]:
            for end in ENDS:
                await large.ask(door, end)  # whatever is made once is made now
        for door in DOORS[frontend]:
            for end in ENDS:
                assert await gives_back(large, door, end), (door, end)


async def gives_back(large: Large, door: str, end: str) -> bool:
    """Whether no more memory is in use after two requests. What grows for another reason does so once: try again."""
    for _ in range(ATTEMPTS):
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(2):
            await large.ask(door, end)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s(10)):
                while _kept_bytes(before) > KEPT_BYTES:  # noqa: ASYNC110 -- other tasks end meanwhile
                    await asyncio.sleep(0.05)
                return True
    return False


def _kept_bytes(before_bytes: int) -> int:
    return tracemalloc.get_traced_memory()[0] - before_bytes


async def test_a_connection_that_asks_for_nothing_is_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "FIRST_REQUEST_S", 0.3)
    async with serving("web", settings):
        port = settings.server.http_port
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
        slow, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: ")
        async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
            for reader in (silent, slow):
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), limit_s(10)) == b""
            await socket.send('{"type": "ping"}')
            assert "pong" in str(await socket.recv())
        silent_writer.close()
        writer.close()
