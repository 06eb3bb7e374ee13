"""A long session costs no more memory than a short one, in the frontend and in the client."""

import asyncio
import os
from pathlib import Path

from frontend.client import Done, TranscriptionClient
from tests.limits import limit_s
from tests.stack import Stack

SECOND = bytes(32_000)
MINUTES = 30
SETTLED_MINUTES = 5
GROWTH_MIB = 12


def rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def test_half_an_hour_of_audio_is_heard_in_constant_memory(stack: Stack) -> None:
    processes = {"client": os.getpid(), "frontend": stack.processes["websocket"].pid}
    settled: dict[str, float] = {}
    async with asyncio.timeout(limit_s(60)), TranscriptionClient(stack.ws_url) as client, client.live() as session:

        async def send() -> None:
            for second in range(MINUTES * 60):
                await session.send(SECOND)
                if second == SETTLED_MINUTES * 60:
                    settled.update({name: rss_mib(pid) for name, pid in processes.items()})
            await session.stop()

        sending = asyncio.create_task(send())
        events = [event async for event in session if isinstance(event, Done)]
        await sending
    assert events[0].duration_s == MINUTES * 60
    growth = {name: rss_mib(pid) - settled[name] for name, pid in processes.items()}
    print({name: f"{settled[name]:.1f} MiB, grew by {growth[name]:.1f}" for name in processes})
    assert all(mib < GROWTH_MIB for mib in growth.values()), growth
