"""Only the pipeline: client → frontend → Redis → worker → Redis → frontend → client, with the echo engine.

Each stream sends 80 ms chunks in real time; the time from sending a chunk to the partial that includes it is
one observation. All processes, and this client, share the machine.
"""

import asyncio
import random
import time

import orjson
from websockets.asyncio.client import connect

from tests.bench.figures import Figure, percentile
from tests.stack import Stack

CHUNK_SAMPLES = 1280
CHUNK_S = 0.08
STAGGER_S = 0.1
SETTLE_S = 2.0
CHUNK = b"\0\0" * CHUNK_SAMPLES


async def stream(
    url: str, seconds: float, all_started: asyncio.Event, options: dict[str, object] | None = None
) -> list[float]:
    """One live session; returns the milliseconds from each chunk to its partial, once all streams have started."""
    sent_s: dict[int, float] = {}
    latencies_ms: list[float] = []
    async with connect(url, compression=None, max_size=None) as socket:
        await socket.send(orjson.dumps({"type": "start"} | (options or {})).decode())
        ready = orjson.loads(await socket.recv())
        assert ready["type"] == "ready", ready
        await asyncio.sleep(random.random() * CHUNK_S)
        began_s = time.perf_counter()

        async def speak() -> None:
            for number in range(int(seconds / CHUNK_S)):
                delay_s = began_s + number * CHUNK_S - time.perf_counter()
                if delay_s > 0:
                    await asyncio.sleep(delay_s)
                sent_s[(number + 1) * CHUNK_SAMPLES] = time.perf_counter()
                await socket.send(CHUNK)
            await socket.send('{"type":"stop"}')

        speaking = asyncio.create_task(speak())
        async for message in socket:
            now_s = time.perf_counter()
            event = orjson.loads(message)
            if event["type"] == "partial":
                heard = round(event["end"] * 16000)
                for end in [end for end in sent_s if end <= heard]:
                    sent = sent_s.pop(end)
                    if all_started.is_set():
                        latencies_ms.append((now_s - sent) * 1000)
            elif event["type"] in ("done", "error"):
                assert event["type"] == "done", event
                break
        await speaking
    return latencies_ms


async def load(url: str, streams: int, seconds: float, **options: object) -> list[float]:
    """Streams that start a few at a time, so that the load is measured and not the starts. `options` are those of the
    message `start`."""
    all_started = asyncio.Event()
    start_s = streams / 10 * STAGGER_S
    tasks = []
    for number in range(streams):
        tasks.append(asyncio.create_task(stream(url, start_s + SETTLE_S + seconds, all_started, options)))
        if number % 10 == 9:
            await asyncio.sleep(STAGGER_S)
    await asyncio.sleep(SETTLE_S)
    all_started.set()
    await asyncio.sleep(seconds)
    all_started.clear()  # streams now end one after the other
    return [latency_ms for task in tasks for latency_ms in await task]


def measure(stack: Stack, seconds: float = 12.0) -> list[Figure]:
    figures = []
    for streams, limit_ms in ((100, 10), (400, 40)):
        latencies_ms = asyncio.run(load(stack.ws_url, streams, seconds))
        name = f"pipeline alone, {streams} streams"
        figures.append(Figure(f"{name}, p50", percentile(latencies_ms, 0.5), "ms"))
        figures.append(Figure(f"{name}, p99", percentile(latencies_ms, 0.99), "ms", limit_ms))
    return figures
