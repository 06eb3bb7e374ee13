"""Live captions: one session with 1,000 viewers over server-sent events.

An observation is one event: from its publication in Redis, which a separate process records, to the moment when the
last viewer has read it. All processes, and these clients, share the machine.
"""

import asyncio
import contextlib
import multiprocessing
import multiprocessing.connection
import re
import time
from collections import defaultdict
from urllib.parse import urlsplit

import orjson
import redis
from websockets.asyncio.client import ClientConnection, connect

from shared.bus import keys
from tests.bench.figures import Figure, percentile
from tests.bench.pipeline import CHUNK, CHUNK_S
from tests.bench.processes import cpu_s
from tests.stack import Stack

VIEWERS = 1000
SECONDS = 20.0
ARRIVE_S = 0.05
"""Between each ten of them."""
PATIENCE_S = 10.0
"""For the last events of the session to reach all of them."""
_EVENT = re.compile(rb'"type":"(partial|final)","session_id":"[^"]+","seq":(\d+)')


class BareViewer(asyncio.Protocol):
    """Reads a response as it arrives, and records the time of each event. As cheap as possible: there are 1,000."""

    def __init__(self, request: bytes, arrivals: dict[int, list[float]]) -> None:
        self._request = request
        self._arrivals = arrivals
        self._begun = b""
        """The part of an event that has been read so far."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        whole, end, begun = (self._begun + data).rpartition(b"\n\n")
        self._begun = begun
        for _, seq in _EVENT.findall(whole + end):
            self._arrivals[int(seq)].append(now_s)


def note_published(url: str, channel: str, pipe: multiprocessing.connection.Connection) -> None:
    """Records when Redis published each event, until stopped, by the machine's clock."""
    subscription = redis.Redis.from_url(url).pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(channel)
    published: dict[int, float] = {}
    pipe.send(None)
    while not pipe.poll():
        message = subscription.get_message(timeout=0.1)
        if message is not None:
            now_s = time.monotonic()
            for _, seq in _EVENT.findall(message["data"]):
                published[int(seq)] = now_s
    pipe.send(published)


async def watch(stack: Stack) -> tuple[list[float], float, float]:
    """Milliseconds to the last viewer by event; how many of all events reached all viewers; CPU seconds a second."""
    ours, theirs = multiprocessing.Pipe()
    arrivals: dict[int, list[float]] = defaultdict(list)
    async with connect(stack.ws_url, compression=None, max_queue=None) as socket:
        await socket.send('{"type":"start"}')
        ready = orjson.loads(await socket.recv())
        channel = keys.channel(ready["session_id"])
        noting = multiprocessing.Process(target=note_published, args=(stack.redis_url, channel, theirs))
        noting.start()
        await asyncio.to_thread(ours.recv)
        transports = await _arrive(stack.web_url, ready, arrivals)
        used_s = cpu_s(stack)
        await _speak(socket)
        await socket.send('{"type":"stop"}')
        async for message in socket:
            if orjson.loads(message)["type"] == "done":
                break
        used_s = cpu_s(stack) - used_s
        ours.send(None)
        published: dict[int, float] = await asyncio.to_thread(ours.recv)
        noting.join()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while any(len(arrivals[seq]) < VIEWERS for seq in published):  # noqa: ASYNC110 -- viewers do not tell
                    await asyncio.sleep(ARRIVE_S)
        for transport in transports:
            transport.abort()
    whole = {seq: times for seq, times in arrivals.items() if len(times) == VIEWERS and seq in published}
    latencies_ms = [(max(times) - published[seq]) * 1000 for seq, times in whole.items()]
    return latencies_ms, len(whole) / len(published), used_s / SECONDS


async def _arrive(url: str, ready: dict[str, str], arrivals: dict[int, list[float]]) -> list[asyncio.Transport]:
    parts = urlsplit(url)
    request = (
        f"GET /v1/sessions/{ready['session_id']}/events HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {ready['viewer_token']}\r\n\r\n"
    ).encode()
    transports = []
    for number in range(VIEWERS):
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: BareViewer(request, arrivals), parts.hostname, parts.port
        )
        transports.append(transport)
        if number % 10 == 9:
            await asyncio.sleep(ARRIVE_S)
    return transports


async def _speak(socket: ClientConnection) -> None:
    began_s = time.monotonic()
    for number in range(int(SECONDS / CHUNK_S)):
        delay_s = began_s + number * CHUNK_S - time.monotonic()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        await socket.send(CHUNK)


def measure(stack: Stack) -> list[Figure]:
    latencies_ms, whole, cpu = asyncio.run(watch(stack))
    name = f"{VIEWERS} viewers of one session, 12.5 events a second"
    return [
        Figure(f"{name}, to the last, p50", percentile(latencies_ms, 0.5), "ms"),
        Figure(f"{name}, to the last, p99", percentile(latencies_ms, 0.99), "ms", 150),
        Figure("… events that all of them had", 100 * whole, "%", 100, wants_more=True),
        Figure("… CPU of the service, % of a core", 100 * cpu, "%"),
    ]
