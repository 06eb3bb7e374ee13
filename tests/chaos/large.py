"""Large requests that complete, are cut off, reset or rejected: `python -m tests.chaos.large --requests 500 --mb 10`.

Goes around the frontends, five requests at a time. Prints the memory of every process after the first fifth, at the
end, and at its peak, and ends with status 1 if a process has grown by more than `ALLOWED_MIB`.
"""

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import os
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.config.settings import Settings
from tests.bench.figures import machine
from tests.bench.processes import rss_mib, too_large
from tests.stack import Stack

AT_ONCE: Final = 5
DOORS: Final = ("tcp", "websocket", "web", "upload", "chat")
ENDS: Final = ("finished", "cut", "reset", "refused")
SETTLED_S: Final = 3.0
"""Wait after the last request: sessions end, and the processes send heartbeats."""


class Large:
    """Requests of about `size_bytes`."""

    def __init__(self, settings: Settings, size_bytes: int) -> None:
        self._settings = settings
        audio = base64.b64encode(bytes(size_bytes * 3 // 4)).decode()
        native = {"type": "audio", "audio_data": audio, "encoding": "pcm_s16le"}
        chat = {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": audio}}]}]}
        self._native = json.dumps(native).encode()
        self._no_audio = self._native[:-40] + b"?" * 38 + b'"}'
        self._chat = json.dumps(chat).encode()
        self._file = _multipart(_wav(bytes(size_bytes)))
        self._no_file = _multipart(os.urandom(size_bytes))
        self.told: Counter[str] = Counter()

    async def ask(self, door: str, end: str) -> None:
        """One request and its end."""
        ports = {"tcp": self._settings.tcp_port, "websocket": self._settings.websocket_port}
        reader, writer = await asyncio.open_connection("127.0.0.1", ports.get(door, self._settings.server.http_port))
        try:
            content = await self._opened(door, reader, writer, is_refused=end == "refused")
            if end in ("cut", "reset"):
                content = content[:-9]
            writer.write(content)
            with contextlib.suppress(OSError):
                await writer.drain()
                if end in ("finished", "refused"):
                    answer = await asyncio.wait_for(reader.read(2000), 120)
                    self.told[f"{door} {end}: {_kind(answer)}"] += 1
                else:
                    self.told[f"{door} {end}"] += 1
        finally:
            if end == "reset":
                held: socket.socket = writer.get_extra_info("socket")
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort() if end == "reset" else writer.close()

    async def _opened(
        self, door: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_refused: bool
    ) -> bytes:
        native = self._no_audio if is_refused else self._native
        if door == "tcp":
            return struct.pack("!I", len(native)) + native
        if door in ("websocket", "web"):
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write(
                "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            await reader.readuntil(b"\r\n\r\n")
            return b"\x81\xff" + struct.pack("!Q", len(native)) + bytes(4) + native
        path, kind, body = (
            ("/v1/chat/completions", "application/json", self._chat)
            if door == "chat"
            else (
                "/v1/audio/transcriptions",
                "multipart/form-data; boundary=b",
                self._no_file if is_refused else self._file,
            )
        )
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def _kind(answer: bytes) -> str:
    """What is counted of an answer."""
    if answer.startswith(b"HTTP/1.1"):
        return answer.split()[1].decode()
    start = answer.find(b"{")
    return "nothing" if start < 0 else str(answer[start:].partition(b'","')[0][2:].decode(errors="replace"))


def _wav(pcm: bytes) -> bytes:
    head = struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVEfmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", len(pcm)
    )
    return head + pcm


def _multipart(file: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return head + file + b"\r\n--b--\r\n"


async def run(stack: Stack, requests: int, size_bytes: int, doors: list[str]) -> dict[str, tuple[float, float, float]]:
    """Memory of each process in MiB: when it has been used, at the end, and at its peak."""
    large = Large(stack.settings, size_bytes)
    jobs: Iterator[tuple[str, str]] = itertools.islice(
        itertools.cycle([(door, end) for end in ENDS for door in doors]), requests
    )
    peak = rss_mib(stack)
    done = 0

    async def work() -> None:
        nonlocal done
        for door, end in jobs:
            await large.ask(door, end)
            done += 1

    async def fifth(upto: int) -> dict[str, float]:
        while done < upto:
            await asyncio.sleep(0.05)
            for label, mib in rss_mib(stack).items():
                peak[label] = max(peak.get(label, 0.0), mib)
        return rss_mib(stack)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
        before = await fifth(requests // 5)
        await fifth(requests)
    await asyncio.sleep(SETTLED_S)
    print(dict(sorted(large.told.items())))
    after = rss_mib(stack)
    return {label: (before[label], after[label], peak[label]) for label in after if label in before}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--mb", type=float, default=10)
    parser.add_argument("--doors", nargs="+", choices=DOORS, default=DOORS)
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        began_s = time.monotonic()
        try:
            stack.start()
            found = asyncio.run(run(stack, arguments.requests, int(arguments.mb * 1e6), arguments.doors))
            stack.check_alive()
        finally:
            stack.stop_all()
    for label, (before, after, peak) in found.items():
        grown = f"{after:7.1f} at the end ({after - before:+.1f})"
        print(f"{label:<12} {before:7.1f} MiB after a fifth, {grown}, {peak:7.1f} at most")
    print(f"{arguments.requests} requests of {arguments.mb:g} MB took {time.monotonic() - began_s:.0f} s")
    return 1 if too_large({label: after - before for label, (before, after, _) in found.items()}) else 0


if __name__ == "__main__":
    sys.exit(main())
