"""Helpers for tests that start their own workers."""

import asyncio
import signal
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from websockets.sync.client import ClientConnection

from frontend.process import FrontendProcess
from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.registry import Registry
from shared.events import SAMPLE_RATE_HZ
from tests.limits import limit_s
from tests.stack import START_TIMEOUT_S, Stack, listens, wait_until

SECOND = b"\1\0" * 16_000


async def workers_are(registry: Registry, count: int) -> bool:
    return len(await registry.workers()) == count


async def admitted_are(registry: Registry, count: int, model: str = "echo") -> bool:
    return await registry.admitted(model) == count


async def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s(timeout_s)):
        while not await condition():  # noqa: ASYNC110 -- the condition is another process's
            await asyncio.sleep(0.02)


async def events_of(session: Session) -> list[dict[str, Any]]:
    """The remaining events of a session, to its end."""
    async with asyncio.timeout(limit_s(20)):
        return [event.wire async for event in session.events()]


def vanish(stack: Stack, connection: ClientConnection, session_id: str, timeout_s: float = 10.0) -> None:
    """Disconnect a client without a close, and check that the slot of its session becomes free."""
    with SyncRedis.from_url(stack.redis_url) as redis:

        def has_slot() -> bool:
            return redis.zscore(keys.admitted(stack.settings.model.name), session_id) is not None

        assert has_slot()
        connection.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not has_slot(), "the slot is free again", timeout_s)


@contextmanager
def redis_alone(folder: Path, **settings: dict[str, Any]) -> Iterator[Stack]:
    """A service with only Redis; each test starts the workers that it needs."""
    stack = Stack(folder, **settings)
    try:
        stack.spawn("redis")
        wait_until(lambda: listens(stack.settings.redis.port), "Redis listens", check=stack.check_alive)
        yield stack
    finally:
        stack.stop_all()


@asynccontextmanager
async def emptied(service: Stack) -> AsyncIterator[Redis]:
    """A client of the service's Redis, which is empty at first."""
    redis = connect(service.settings)
    await redis.flushall()
    try:
        yield redis
    finally:
        await redis.aclose()


class Fleet:
    """Workers by label, the frontend that uses them, and a view of their data in Redis."""

    def __init__(self, service: Stack, frontend: FrontendProcess, redis: Redis) -> None:
        self.service = service
        self.frontend = frontend
        self.gateway = frontend.gateway
        self.registry = frontend.registry
        self.redis = redis
        self._labels: set[str] = set()
        self._ids: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def of(cls, service: Stack) -> AsyncIterator["Fleet"]:
        """A fleet without workers, on an empty Redis. Workers that are left at the end are killed."""
        async with emptied(service) as redis, FrontendProcess.running(service.settings, "test") as frontend:
            fleet = cls(service, frontend, redis)
            try:
                yield fleet
            finally:
                for label in fleet._labels & service.processes.keys():
                    service.stop(label, signal.SIGKILL)

    async def start(self, label: str, **variables: str) -> None:
        """Start a worker and wait until it is announced."""
        self._labels.add(label)
        self.service.spawn("worker", label, **variables)
        await until(lambda: self._has_found(label), START_TIMEOUT_S)

    async def _has_found(self, label: str) -> bool:
        # Only this one: another may correctly end as soon as its sessions can continue here.
        self.service.check_alive(label)
        for worker in await self.registry.workers():
            if worker.pid == self.service.processes[label].pid:
                self._ids[label] = worker.id
        return label in self._ids

    def signal(self, label: str, number: int) -> None:
        self.service.processes[label].send_signal(number)

    async def ends(self, label: str, timeout_s: float = 10.0) -> int:
        """The exit status of a worker that is stopping."""
        return await asyncio.to_thread(self.service.wait, label, timeout_s)

    async def owner(self, session: Session) -> str | None:
        """Label of the worker that owns a session now."""
        owner = await self.redis.hget(keys.session(session.id), "owner")
        labels = {worker_id: label for label, worker_id in self._ids.items()}
        return labels.get((owner or b"").decode())

    async def is_owned_by(self, session: Session, label: str) -> bool:
        return await self.owner(session) == label

    async def loads(self) -> Counter[str]:
        """How many sessions each worker has claimed since its start, by its own log."""
        labels = {worker_id: label for label, worker_id in self._ids.items()}
        workers = await self.registry.workers()
        return Counter({labels[worker.id]: worker.sessions for worker in workers})

    async def log(self, session: Session) -> list[dict[str, Any]]:
        return [orjson.loads(fields[b"e"]) for _, fields in await self.redis.xrange(keys.events(session.id))]


def assert_whole(events: list[dict[str, Any]], duration_s: float) -> None:
    """Check the echo engine's events: each once and in order, and finals that cover the audio exactly."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {"error"}.isdisjoint(event["type"] for event in events), events[-1]
    finals = [event for event in events if event["type"] == "final"]
    assert [event["segment"] for event in finals] == list(range(len(finals)))
    edges_s = [0.0, *(event["end"] for event in finals)]
    assert [event["start"] for event in finals] == edges_s[:-1]
    assert (events[-1]["type"], events[-1]["duration"], edges_s[-1]) == ("done", duration_s, duration_s)
    assert events[-1]["text"] == " ".join(event["text"] for event in finals)


class Link:
    """A proxy to Redis that can be cut: nothing passes, nothing is lost, and neither end notices."""

    def __init__(self, port: int, first: asyncio.Event | None) -> None:
        self._redis_port = port
        self._first = first
        self.connected = asyncio.Event()
        """Set when there has been a connection."""
        self._whole = asyncio.Event()
        self._whole.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def to(
        cls, service: Stack, tls: ssl.SSLContext | None = None, *, first: asyncio.Event | None = None
    ) -> AsyncIterator["Link"]:
        """The first connection forwards nothing until `first` is set; the others do not wait for it."""
        link = cls(service.settings.redis.port, first)
        server = await asyncio.start_server(link._connect, "127.0.0.1", 0, ssl=tls)
        link.port = server.sockets[0].getsockname()[1]
        try:
            yield link
        finally:
            link.heal()
            server.close()
            for writer in link._writers:
                writer.transport.abort()

    def cut(self) -> None:
        self._whole.clear()

    def heal(self) -> None:
        self._whole.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waits = self._first is not None and not self.connected.is_set()
        self.connected.set()
        if waits:
            await self._first.wait()
        try:
            redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._redis_port)
        except OSError:
            writer.close()
            return
        self._writers += [writer, redis_writer]
        await asyncio.gather(self._pump(reader, redis_writer), self._pump(redis_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while received := await reader.read(65_536):
                await self._whole.wait()
                writer.write(received)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


async def speak(session: Session, duration_s: float, *, faster: float = 4.0) -> None:
    """Write audio in pieces of 100 ms, `faster` than real time."""
    for _ in range(round(duration_s * 10)):
        await session.write(SECOND[: SAMPLE_RATE_HZ // 5])
        await asyncio.sleep(0.1 / faster)
