"""Measures the cost of a live stream without speech: CPU of every process of the service, by stream."""

import asyncio
import time

from websockets.asyncio.client import connect

from tests.bench.figures import Figure
from tests.bench.pipeline import CHUNK_S, CHUNK_SAMPLES
from tests.bench.processes import cpu_s
from tests.speech import noise
from tests.stack import Stack

STREAMS = 8
SECONDS = 20.0


def measure(stack: Stack) -> list[Figure]:
    """Room noise at about −60 dB: a microphone is never digitally silent."""
    quiet = (noise(10.0, level=0.001) * 32767).astype("<i2").tobytes()
    began_s, used_s = time.monotonic(), cpu_s(stack)
    time.sleep(5)
    without = (cpu_s(stack) - used_s) / (time.monotonic() - began_s)
    with_streams = asyncio.run(_silent_streams(stack, quiet))
    percent = 100 * (with_streams - without) / STREAMS
    return [
        Figure("CPU of the service without streams, % of a core", 100 * without, "%"),
        Figure("CPU of one idle live stream, % of a core", percent, "%", 3),
    ]


async def _silent_streams(stack: Stack, quiet: bytes) -> float:
    """CPU seconds per second while all streams send silence."""
    step = 2 * CHUNK_SAMPLES

    async def stream() -> None:
        async with connect(stack.ws_url, compression=None) as socket:
            await socket.send('{"type":"start"}')
            await socket.recv()
            deadline_s = time.monotonic() + SECONDS
            number = 0
            while time.monotonic() < deadline_s:
                start = number * step % (len(quiet) - step)
                await socket.send(quiet[start : start + step])
                number += 1
                await asyncio.sleep(CHUNK_S)
            await socket.send('{"type":"cancel"}')

    streams = [asyncio.create_task(stream()) for _ in range(STREAMS)]
    await asyncio.sleep(3)
    began_s, used_s = time.monotonic(), cpu_s(stack)
    await asyncio.sleep(SECONDS - 6)
    load = (cpu_s(stack) - used_s) / (time.monotonic() - began_s)
    await asyncio.gather(*streams)
    return load
