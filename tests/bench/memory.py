"""Resident memory of every process, and whether it grows: 40 minutes of speech, sent as fast as possible."""

import asyncio
import time

import orjson
from websockets.asyncio.client import connect

from tests.bench.figures import Figure
from tests.bench.pipeline import CHUNK_S
from tests.bench.processes import rss_mib
from tests.speech import conversation
from tests.stack import Stack

MINUTES = 40
SETTLED_MINUTES = 10
"""By then the model's allocator has seen segments of every length; growth is counted from here."""
BREATHING_MIB = 30
"""How much the allocator's memory varies with the lengths of segments, in an hour as in half an hour."""
LIMITS_MIB = {"worker": 600, "websocket": 90, "tcp": 90, "web": 90, "health": 90}


def measure(stack: Stack) -> list[Figure]:
    before, after = asyncio.run(_stream(stack))
    figures = [
        Figure(f"memory of {label} after {MINUTES} minutes of speech", after[label], "MiB", limit)
        for label, limit in LIMITS_MIB.items()
    ]
    growth = max(after[label] - before[label] for label in LIMITS_MIB)
    return [
        *figures,
        Figure(f"growth from minute {SETTLED_MINUTES} to {MINUTES}, any process", growth, "MiB", BREATHING_MIB),
    ]


async def _stream(stack: Stack) -> tuple[dict[str, float], dict[str, float]]:
    speech = (conversation() * 32767).astype("<i2").tobytes()
    step = round(CHUNK_S * 16000) * 2
    settled: dict[str, float] = {}
    async with connect(stack.ws_url, compression=None, max_size=None) as socket:
        await socket.send('{"type":"start"}')

        async def speak() -> None:
            sent = 0
            while sent < MINUTES * 60 * 32000:
                start = sent % (len(speech) - step) // 2 * 2
                await socket.send(speech[start : start + step])
                sent += step
            await socket.send('{"type":"stop"}')

        speaking = asyncio.create_task(speak())
        began_s = time.monotonic()
        async for message in socket:
            event = orjson.loads(message)
            if not settled and event.get("end", 0) > SETTLED_MINUTES * 60:
                settled = rss_mib(stack)
            if event["type"] in ("done", "error"):
                assert event["type"] == "done", event
                break
        await speaking
    print(f"{MINUTES} minutes of speech took {time.monotonic() - began_s:.0f} s", flush=True)
    return settled, rss_mib(stack)
