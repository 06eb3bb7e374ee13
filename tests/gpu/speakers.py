"""Clients that speak in real time over WebSocket, and what each sees: events, how late they are, and refusals."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.tiny.scenes import Scene, Word, scene

RATE_HZ: Final = 16_000
CHUNK_SAMPLES: Final = 1280
REFUSED: Final = frozenset({"server_busy", "model_unavailable", "rate_limited"})
OPEN_TIMEOUT_S: Final = 30.0
QUIET_TIMEOUT_S: Final = 60.0
"""A session that is told nothing for so long, after its audio, has failed."""


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass
class Seen:
    """What one client has seen of its session."""

    outcome: Outcome = Outcome.FAILED
    reason: str = ""
    """Why it was refused or has failed."""
    events: int = 0
    event_ms: list[float] = field(default_factory=list)
    """From sending the last audio that a partial rests on to its arrival."""
    server_ms: list[float] = field(default_factory=list)
    """The same as the worker says it: `latency.total`."""
    shown_s: list[float] = field(default_factory=list)
    """When the first word was shown, the second, …: seconds since the audio began."""
    behind_ms: float = 0.0
    """The most that the client itself was late with a chunk."""
    text: str = ""


def repeated(one: Scene, seconds: float) -> Scene:
    """The scene again and again, until it lasts so long."""
    times = max(1, -(-round(seconds * RATE_HZ) // len(one.audio)))
    length = len(one.audio)
    words = [
        Word(word.text, word.start_samples + turn * length, word.end_samples + turn * length)
        for turn in range(times)
        for word in one.words
    ]
    return Scene(np.tile(one.audio, times), tuple(words))


def long_scenes(count: int, words: int, seconds: float) -> list[Scene]:
    return [repeated(scene(9100 + number, words, snr_db=30.0), seconds) for number in range(count)]


async def speak_all(url: str, spoken: Sequence[Scene], sessions: int, ramp_s: float) -> list[Seen]:
    """So many clients, each with one of the scenes in turn; they begin within `ramp_s`, at even distances."""
    clients = (
        speak(url, spoken[number % len(spoken)].audio, wait_s=ramp_s * number / sessions) for number in range(sessions)
    )
    return await asyncio.gather(*clients)


async def speak(
    url: str, pcm: NDArray[np.float32], *, wait_s: float = 0.0, in_real_time: bool = True, **options: Any
) -> Seen:
    """One session, to its end. Nothing is raised: what goes wrong is in what is returned."""
    await asyncio.sleep(wait_s)
    seen = Seen()
    try:
        async with connect(url, compression=None, max_size=None, open_timeout=OPEN_TIMEOUT_S) as socket:
            await socket.send(orjson.dumps({"type": "start"} | options).decode())
            ready = orjson.loads(await asyncio.wait_for(socket.recv(), OPEN_TIMEOUT_S))
            if ready["type"] != "ready":
                _end(seen, ready)
                return seen
            began_s = time.perf_counter()
            talking = asyncio.create_task(_talk(socket, seen, pcm, began_s if in_real_time else None))
            try:
                await _listen(socket, seen, began_s, talking)
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)  # a lost connection is noticed by who listens
    except (OSError, WebSocketException, TimeoutError) as error:
        seen.outcome, seen.reason = Outcome.FAILED, f"{type(error).__name__}: {error}"
    return seen


async def _talk(socket: ClientConnection, seen: Seen, pcm: NDArray[np.float32], began_s: float | None) -> None:
    raw = (np.clip(pcm, -1, 1) * 32767).astype("<i2").tobytes()
    for first in range(0, len(raw), 2 * CHUNK_SAMPLES):
        chunk = raw[first : first + 2 * CHUNK_SAMPLES]
        if began_s is not None:
            due_s = began_s + (first + len(chunk)) / 2 / RATE_HZ
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            seen.behind_ms = max(seen.behind_ms, 1000 * (time.perf_counter() - due_s))
        await socket.send(chunk)
    await socket.send('{"type": "stop"}')


async def _listen(socket: ClientConnection, seen: Seen, began_s: float, talking: asyncio.Task[None]) -> None:
    finished: dict[int, int] = {}  # words of each final, by segment
    while True:
        try:
            message = await asyncio.wait_for(socket.recv(), QUIET_TIMEOUT_S)
        except TimeoutError:
            if talking.done():
                raise
            continue  # nothing was said so far
        now_s = time.perf_counter() - began_s
        event = orjson.loads(message)
        seen.events += 1
        if event["type"] in ("partial", "final"):
            _note(seen, now_s, event, finished)
        elif event["type"] in ("done", "error"):
            _end(seen, event)
            return


def _note(seen: Seen, now_s: float, event: dict[str, Any], finished: dict[int, int]) -> None:
    words = len(event["text"].split())
    if event["type"] == "final":
        finished[event["segment"]] = words
        words = 0
    elif "end" in event:
        chunks = -(-round(event["end"] * RATE_HZ) // CHUNK_SAMPLES)
        seen.event_ms.append(1000 * (now_s - chunks * CHUNK_SAMPLES / RATE_HZ))
    if "latency" in event:
        seen.server_ms.append(event["latency"]["total"])
    shown = sum(finished.values()) + words
    seen.shown_s += [now_s] * (shown - len(seen.shown_s))


def _end(seen: Seen, event: dict[str, Any]) -> None:
    if event["type"] == "done":
        seen.outcome, seen.text = Outcome.DONE, event["text"]
        return
    code = event.get("code", event["type"])
    seen.outcome = Outcome.REFUSED if code in REFUSED and not seen.events else Outcome.FAILED
    seen.reason = f"{code}: {event.get('message', '')}"
