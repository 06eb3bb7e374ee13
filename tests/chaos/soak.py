"""An hour of mixed clients at the slot limit: `make soak`, or `python -m tests.chaos.soak --minutes 5`.

Well-behaved, slow, abusive and vanishing clients connect and disconnect all the time. Prints the memory of every
process at the start (when all have been used once) and at the end, errors by code, and what was served. Ends with
status 1 if words are wrong, an error is internal, or a process has grown by more than `ALLOWED_MIB`.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from frontend.client import ClientError, ServerError, TranscriptionClient
from shared.errors import VoxtralError
from tests.bench.figures import machine
from tests.bench.processes import ALLOWED_MIB, rss_mib, too_large
from tests.bench.scoring import edits
from tests.chaos.rounds import plain
from tests.chaos.speakers import CHUNK_S, CHUNK_SAMPLES, samples
from tests.stack import Stack
from tests.tiny import scenes
from tests.tiny.checkpoint import DIRECTORY
from worker.engines.registry import REALTIME

SLOTS: Final = 12
CLIENTS: Final = {"steady": 8, "upload": 2, "slow": 2, "abusive": 3, "vanishing": 3}
"""More than the slots, so that some are always rejected."""
WARM_S: Final = 30.0
PAUSE_S: Final = 0.5
GARBAGE: Final = (
    "{",
    "[" * 20_000,
    '{"type": "nothing"}',
    '{"type": "start", "language": 7}',
    '{"type": "audio", "audio_data": "%%%"}',
    '{"type": "configure", "delay_ms": 81}',
    '{"type": "resume", "session_id": "x", "resume_token": "y", "seq": -1}',
)


@dataclass
class Results:
    """Of all clients together."""

    served: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    words: int = 0
    """That well-behaved clients have said."""
    wrong_words: int = 0

    def judge(self, said: str, heard: str) -> None:
        words = said.split()
        self.words += len(words)
        self.wrong_words += edits(words, plain(heard).split())

    def faults(self, growth_mib: Mapping[str, float]) -> list[str]:
        """What may not happen and did, given the growth of each process."""
        found = [
            f"{label} has grown by {mib:.1f} MiB; allowed: {ALLOWED_MIB:g}"
            for label, mib in too_large(growth_mib).items()
        ]
        if self.wrong_words or not self.words:
            found.append(f"{self.wrong_words} of {self.words} words are wrong")
        if internal := self.errors[VoxtralError.code]:
            found.append(f"internal errors: {internal}")
        return found


class Soak:
    """Counts the results of its clients until the deadline."""

    def __init__(self, stack: Stack, minutes: float, seed: int) -> None:
        self._stack = stack
        self._deadline_s = time.monotonic() + 60 * minutes
        self._random = random.Random(seed)
        self._scenes = [scenes.scene(seed + number, 10) for number in range(8)]
        self.results = Results()

    async def run(self) -> None:
        """Run all clients until the deadline has passed and each has finished."""
        behaviours: dict[str, Callable[[], Awaitable[None]]] = {
            "steady": self._steady,
            "upload": self._upload,
            "slow": self._slow,
            "abusive": self._abusive,
            "vanishing": self._vanishing,
        }
        async with asyncio.TaskGroup() as group:
            for name, count in CLIENTS.items():
                for _ in range(count):
                    group.create_task(self._repeat(name, behaviours[name]), name=name)

    async def _repeat(self, name: str, behave: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < self._deadline_s:
            try:
                await behave()
                self.results.served[name] += 1
            except ServerError as error:
                self.results.errors[error.code] += 1
            except (ClientError, ConnectionClosed, OSError) as error:
                self.results.errors[type(error).__name__] += 1
            await asyncio.sleep(self._random.uniform(0, PAUSE_S))

    async def _steady(self) -> None:
        scene = self._random.choice(self._scenes)
        pcm = samples(scene.audio)
        async with TranscriptionClient(self._stack.ws_url) as client, client.live() as session:
            started_s = time.monotonic()
            for number, first in enumerate(range(0, len(pcm), 2 * CHUNK_SAMPLES)):
                await asyncio.sleep(started_s + number * CHUNK_S - time.monotonic())
                await session.send(pcm[first : first + 2 * CHUNK_SAMPLES])
            await session.stop()
            events = [event async for event in session]
        self.results.judge(scene.text, getattr(events[-1], "text", ""))

    async def _upload(self) -> None:
        scene = self._random.choice(self._scenes)
        async with TranscriptionClient(self._stack.ws_url) as client:
            reply = await client.transcribe(samples(scene.audio), encoding="pcm_s16le")
        self.results.judge(scene.text, reply.text)

    async def _slow(self) -> None:
        """Reads one message a second."""
        async with await self._started() as socket:
            await socket.send(samples(self._random.choice(self._scenes).audio))
            await socket.send('{"type": "stop"}')
            async for message in socket:
                if orjson.loads(message)["type"] in ("done", "error"):
                    return
                await asyncio.sleep(1)

    async def _abusive(self) -> None:
        """Sends an invalid message, then audio without a session."""
        async with connect(self._stack.ws_url, compression=None) as socket:
            for text in self._random.sample(GARBAGE, 3):
                await socket.send(text)
                answer = orjson.loads(await socket.recv())
                assert answer["type"] == "error", answer
                self.results.errors[answer["code"]] += 1
            await socket.send(self._random.randbytes(10_000))
            self.results.errors[orjson.loads(await socket.recv())["code"]] += 1

    async def _vanishing(self) -> None:
        """Disconnects in mid-speech without a close."""
        socket = await self._started()
        await socket.send(samples(self._random.choice(self._scenes).audio[: 3 * 16_000]))
        socket.transport.abort()

    async def _started(self) -> ClientConnection:
        socket = await connect(self._stack.ws_url, compression=None)
        await socket.send('{"type": "start"}')
        answer = orjson.loads(await socket.recv())
        if answer["type"] == "error":
            await socket.close()
            raise ServerError(answer["code"], answer["message"])
        return socket


async def soak(minutes: float, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        model = {"name": REALTIME, "path": str(DIRECTORY), "device": "cpu", "threads": 1, "slots": SLOTS}
        stack = Stack(Path(folder), model=model, session={"idle_timeout_s": 20})
        try:
            stack.start()
            running = Soak(stack, minutes, seed)
            task = asyncio.create_task(running.run())
            await asyncio.wait((task,), timeout=min(WARM_S, 30 * minutes))
            before = rss_mib(stack)
            await task
            after = rss_mib(stack)
            stack.check_alive()
        finally:
            stack.stop_all()
    print(machine())
    growth_mib = {label: mib - before[label] for label, mib in after.items() if label in before}
    for label, mib in growth_mib.items():
        print(f"{label:<12} {before[label]:7.1f} MiB at the start, {after[label]:7.1f} at the end ({mib:+.1f})")
    results = running.results
    print("served      " + ", ".join(f"{count} {name}" for name, count in sorted(results.served.items())))
    print("errors      " + ", ".join(f"{count} × {code}" for code, count in sorted(results.errors.items())))
    print(f"words       {results.words} of well-behaved clients, {results.wrong_words} wrong")
    faults = results.faults(growth_mib)
    print("".join(f"FAULT       {fault}\n" for fault in faults), end="")
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    return asyncio.run(soak(arguments.minutes, arguments.seed))


if __name__ == "__main__":
    sys.exit(main())
