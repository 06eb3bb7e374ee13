"""Decoders for tests, their processes, and recordings that keep them busy."""

import asyncio
import contextlib
import io
import os
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

from frontend.decoding.decoders import Decoders
from tests.limits import limit_s

TIMEOUT_S = limit_s(10.0)


def long_wav(duration_s: int = 600) -> bytes:
    """Far more than a pipe holds, so its decoder waits for the reader."""
    samples = bytes(32_000 * duration_s)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    chunks = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks


@contextlib.asynccontextmanager
async def begun(decoders: Decoders, recording: bytes) -> AsyncIterator[AsyncGenerator[bytes, None]]:
    """A recording whose first block has been decoded."""
    async with contextlib.aclosing(decoders.pcm(recording)) as blocks:
        await anext(blocks)
        yield blocks


async def decoded(decoders: Decoders, recording: bytes | io.BytesIO, **options: Any) -> bytes:
    async with contextlib.aclosing(decoders.pcm(recording, **options)) as blocks:
        return b"".join([block async for block in blocks])


def decoders_of(decoders: Decoders) -> set[int]:
    """The processes that decode now."""
    assert decoders.server_pid is not None
    return children(decoders.server_pid)


def decoders_of_process(pid: int) -> set[int]:
    """The processes that decode for a frontend."""
    return {child for server in children(pid) for child in children(server)}


def children(pid: int | None = None) -> set[int]:
    """The processes that the main thread of a process, or of this one, has started and that have not ended."""
    pid = pid or os.getpid()
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def told(pid: int, what: str) -> bytes:
    """The kernel's data about a process."""
    return Path(f"/proc/{pid}/{what}").read_bytes()


def open_files(pid: int) -> set[str]:
    return {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()}


def cpu_s(pid: int) -> float:
    fields = told(pid, "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait on a condition of another process while the loop runs."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 -- no process tells us
            await asyncio.sleep(0.01)


async def server_of(decoders: Decoders) -> int:
    """The server's process id, once it is ready."""
    await eventually(lambda: decoders.server_pid is not None)
    assert decoders.server_pid is not None
    return decoders.server_pid


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
