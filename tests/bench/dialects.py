"""The realtime dialects compared with the native protocol: how much later the same text arrives, with the echo engine.

A dialect's deltas hold back text that a partial may still revise, so partials cannot be compared: all dialects send
finals at once. An observation is the time from sending a message that causes a final to the first message that
contains its text (or is marked as the last): the chunk that completes a segment of the echo engine, a commit (which
some call flush), and the end of the audio. Not every dialect has each. There is one client at a time, with one session
per turn, and the protocols take turns, so that other load of the machine affects all of them.
"""

import asyncio
import base64
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.figures import Figure, percentile
from tests.stack import Stack
from worker.engines.echo import SEGMENT_S

ROUNDS = 100
WARM_UP_ROUNDS = 3
MODEL = "echo"
CHUNK_MS = 80
FILLED_MS = SEGMENT_S * 1000 - CHUNK_MS // 2
"""Audio before the chunk that fills the segment, which then is longer than it must be: resampling holds some back."""
PIECE_MS = 2490
SPOKEN_MS = 2 * CHUNK_MS
"""Before a commit; OpenAI's needs 100 ms."""
HEARD_S = 0.1
"""By then all earlier audio has been processed, and the measurement does not wait for it."""
ANSWER_S = 10.0
LATER_MS = 5
"""The largest additional latency of a dialect, p50."""


class Step(StrEnum):
    CHUNK = "a chunk to its text"
    COMMIT = "a commit to its text"
    END = "the end of the audio to the last message"


@dataclass(frozen=True, slots=True)
class Way:
    """A protocol on a port."""

    name: str
    url: str
    hello: Mapping[str, object] | None
    """The first messages of its client."""
    audio: Callable[[int], str | bytes]
    """The message with so many milliseconds of silence."""
    asks: Mapping[Step, Mapping[str, object]]
    """The messages by which the client requests text, as far as the protocol has them."""
    answers: Mapping[Step, str]
    """The type of the expected message."""


def ways(stack: Stack) -> list[Way]:
    """The first one is the reference for the others."""
    web_url = stack.web_url.replace("http", "ws", 1)
    return [
        _native("native :8765", stack.ws_url),
        _native("native :8000/ws", f"{web_url}/ws"),
        Way(
            "Mistral",
            f"{web_url}/v1/audio/transcriptions/realtime?model={MODEL}",
            None,
            _in_base64("input_audio.append", 16_000),
            {Step.COMMIT: {"type": "input_audio.flush"}, Step.END: {"type": "input_audio.end"}},
            {
                Step.CHUNK: "transcription.text.delta",
                Step.COMMIT: "transcription.done",
                Step.END: "transcription.done",
            },
        ),
        Way(
            "OpenAI",
            f"{web_url}/v1/realtime?model={MODEL}",
            {"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}},
            _in_base64("input_audio_buffer.append", 24_000),
            {Step.COMMIT: {"type": "input_audio_buffer.commit"}},
            {
                Step.CHUNK: "conversation.item.input_audio_transcription.delta",
                Step.COMMIT: "conversation.item.input_audio_transcription.completed",
            },
        ),
        Way(
            "vLLM",
            f"{web_url}/v1/realtime",
            {"type": "session.update", "model": MODEL},
            _in_base64("input_audio_buffer.append", 16_000),
            {Step.END: {"type": "input_audio_buffer.commit", "final": True}},
            {Step.CHUNK: "transcription.delta", Step.END: "transcription.done"},
        ),
    ]


def _native(name: str, url: str) -> Way:
    return Way(
        name,
        url,
        {"type": "start"},
        lambda milliseconds: _silence(milliseconds, 16_000),
        {Step.COMMIT: {"type": "commit"}, Step.END: {"type": "stop"}},
        {Step.CHUNK: "final", Step.COMMIT: "final", Step.END: "done"},
    )


def _in_base64(kind: str, rate_hz: int) -> Callable[[int], str]:
    def audio(milliseconds: int) -> str:
        encoded = base64.b64encode(_silence(milliseconds, rate_hz)).decode()
        return orjson.dumps({"type": kind, "audio": encoded}).decode()

    return audio


def _silence(milliseconds: int, rate_hz: int) -> bytes:
    return bytes(2 * milliseconds * rate_hz // 1000)


async def turn(way: Way) -> dict[Step, float]:
    """One session; milliseconds by step."""
    taken_ms = {}
    async with connect(way.url, compression=None, max_size=None) as socket:
        if way.hello is not None:
            await socket.send(orjson.dumps(way.hello).decode())
        for step in way.answers:
            before_ms = FILLED_MS if step is Step.CHUNK else SPOKEN_MS
            for start_ms in range(0, before_ms, PIECE_MS):
                await socket.send(way.audio(min(PIECE_MS, before_ms - start_ms)))
            await asyncio.sleep(HEARD_S)
            asked = way.audio(CHUNK_MS) if step is Step.CHUNK else orjson.dumps(way.asks[step]).decode()
            taken_ms[step] = await _until(socket, asked, way.answers[step])
    return taken_ms


async def _until(socket: ClientConnection, asked: str | bytes, answer: str) -> float:
    """Milliseconds from sending a message to the answer. Earlier messages are ignored."""
    sent_s = time.perf_counter()
    await socket.send(asked)
    async with asyncio.timeout(ANSWER_S):
        while True:
            event = orjson.loads(await socket.recv())
            now_s = time.perf_counter()
            assert event["type"] != "error", event
            if event["type"] == answer:
                return (now_s - sent_s) * 1000


async def take_turns(stack: Stack, rounds: int) -> dict[Step, dict[str, list[float]]]:
    """Milliseconds of every observation, by step and the name of the way."""
    taken_ms: dict[Step, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(WARM_UP_ROUNDS + rounds):
        for way in ways(stack):
            for step, step_ms in (await turn(way)).items():
                if number >= WARM_UP_ROUNDS:
                    taken_ms[step][way.name].append(step_ms)
    return taken_ms


def measure(stack: Stack) -> list[Figure]:
    figures = []
    for step, by_way in asyncio.run(take_turns(stack, ROUNDS)).items():
        native_ms, *_ = (percentile(step_ms, 0.5) for step_ms in by_way.values())
        for place, (name, step_ms) in enumerate(by_way.items()):
            median_ms = percentile(step_ms, 0.5)
            figures.append(Figure(f"{step}, {name}, p50", median_ms, "ms"))
            figures.append(Figure(f"{step}, {name}, p99", percentile(step_ms, 0.99), "ms"))
            if place:
                figures.append(Figure(f"{step}, {name}, p50 over native :8765", median_ms - native_ms, "ms", LATER_MS))
    return figures
