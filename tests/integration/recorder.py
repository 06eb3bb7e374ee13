"""A proxy between a client and the service that forwards and records WebSocket messages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

HANDED_ON = ("Authorization", "OpenAI-Beta")


class Recorder:
    """The messages of clients and the service, over all connections. Made by `recorded`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.port = 0
        self.of_clients: list[dict[str, Any]] = []
        self.of_service: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def relay(self, client: ServerConnection) -> None:
        assert client.request is not None
        headers = {name: client.request.headers[name] for name in HANDED_ON if name in client.request.headers}
        protocols = [Subprotocol(client.subprotocol)] if client.subprotocol else None
        address = f"{self._upstream}{client.request.path}"
        async with connect(address, additional_headers=headers, subprotocols=protocols, compression=None) as service:
            await asyncio.gather(
                self._pump(client, service, self.of_clients), self._pump(service, client, self.of_service)
            )

    @staticmethod
    async def _pump(
        source: ServerConnection | ClientConnection,
        sink: ServerConnection | ClientConnection,
        kept: list[dict[str, Any]],
    ) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in source:
                if isinstance(message, str):
                    kept.append(orjson.loads(message))
                await sink.send(message)
        await sink.close()


@contextlib.asynccontextmanager
async def recorded(upstream: str) -> AsyncIterator[Recorder]:
    recorder = Recorder(upstream)
    async with serve(recorder.relay, "127.0.0.1", 0, compression=None, max_size=None) as server:
        recorder.port = next(iter(server.sockets)).getsockname()[1]
        yield recorder
