"""Live transcription through the whole service: speech over WebSocket in real time, with the time of each word.

Words are timed from where they truly end in the audio (`alignment` says how that is found). Everything runs on the
same machine: client, frontends, Redis and worker.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import orjson
from faster_whisper import WhisperModel
from numpy.typing import NDArray
from websockets.asyncio.client import connect

from tests.bench.alignment import last_sound_samples
from tests.bench.engine_live import script
from tests.bench.figures import Figure, percentile
from tests.bench.pipeline import CHUNK_SAMPLES
from tests.bench.scoring import edits, normalised
from tests.bench.screen import Measured, Screen, Script, measured
from tests.speech import SENTENCES, synthesise
from tests.stack import Stack
from tests.whisper_engines import load
from worker.engines.whisper.weights import model_directory

MINUTES = {1: 2.5, 4: 1.5, 8: 1.5}
"""Length of the speech, by number of streams."""
FIRST_P50_MS = {1: 450, 4: 900, 8: 1800}
STABLE_P50_MS = {1: 900, 4: 1600}
FINAL_REPEATS = 10


def measure(stack: Stack) -> list[Figure]:
    scripts, offline_error_percent = _prepare()
    figures = []
    for streams in MINUTES:
        results = asyncio.run(_play(stack.ws_url, scripts[streams]))
        figures += _figures(streams, results, offline_error_percent)
    final_ms = [asyncio.run(_final_latency_ms(stack.ws_url, SENTENCES[index])) for index in range(FINAL_REPEATS)]
    return [*figures, Figure("final after the last audio, 1 stream, p50", percentile(final_ms, 0.5), "ms", 400)]


def _prepare() -> tuple[dict[int, list[Script]], float]:
    """The speech of every run, and the word error rate of one offline decode of the first, in percent."""
    engine = load(threads=2, slots=1)
    scripts = {
        streams: [script(engine, 5 * index, minutes) for index in range(streams)]
        for streams, minutes in MINUTES.items()
    }
    del engine
    first = scripts[1][0]
    model = WhisperModel(str(model_directory(None)), device="cpu", compute_type="int8", cpu_threads=2)
    segments, _ = model.transcribe(first.pcm, language="en", beam_size=5)
    heard = normalised(" ".join(segment.text for segment in segments))
    del model
    gc.collect()
    return scripts, 100 * edits(first.words, heard) / len(first.words)


def _figures(streams: int, results: list[Measured], offline_error_percent: float) -> list[Figure]:
    total = Measured()
    for result in results:
        total.add(result)
    first_ms, stable_ms, error_percent = total.first_ms, total.stable_ms, total.error_percent
    label = f"{streams} stream{'s' * (streams > 1)}"
    figures = [
        Figure(f"a word first appears, {label}, p50", percentile(first_ms, 0.5), "ms", FIRST_P50_MS[streams]),
        Figure(f"a word first appears, {label}, p95", percentile(first_ms, 0.95), "ms", 900 if streams == 1 else None),
        Figure(f"a word is stable, {label}, p50", percentile(stable_ms, 0.5), "ms", STABLE_P50_MS.get(streams)),
        Figure(f"a word is stable, {label}, p95", percentile(stable_ms, 0.95), "ms", 1800 if streams == 1 else None),
        Figure(f"words retracted per 100, {label}", total.retracted_percent, "words", 5),
        Figure(f"word error rate live, {label}", error_percent, "%", 6),
    ]
    if streams == 1:
        figures += [
            Figure("word error rate of one offline decode of the same audio", offline_error_percent, "%"),
            Figure("word error rate live over offline", error_percent - offline_error_percent, "points", 1),
        ]
    return figures


async def _play(url: str, scripts: list[Script]) -> list[Measured]:
    screens = await asyncio.gather(*(stream(url, one.pcm, delay_s=1.3 * index) for index, one in enumerate(scripts)))
    return [measured(one, screen) for one, screen in zip(scripts, screens, strict=True)]


async def _final_latency_ms(url: str, sentence: str) -> float:
    """From the last sound of a sentence, directly followed by `stop`, to its last final."""
    pcm = synthesise(sentence)
    pcm = pcm[: last_sound_samples(pcm)]  # a final could be made early in the voice's trailing silence
    screen = await stream(url, pcm)
    return (screen.finished_s - len(pcm) / 16000) * 1000


async def stream(url: str, pcm: NDArray[np.float32], *, language: str = "en", delay_s: float = 0.0) -> Screen:
    """What a client shows that speaks in real time."""
    await asyncio.sleep(delay_s)
    screen = Screen()
    async for now_s, event in spoken(url, pcm, language=language):
        if event["type"] in ("partial", "final"):
            _see(screen, now_s, event)
    return screen


async def spoken(url: str, pcm: NDArray[np.float32], **options: object) -> AsyncIterator[tuple[float, dict[str, Any]]]:
    """Speak in real time, as a microphone does: a chunk is sent when its last sample has been heard.

    Yields every event up to `done`, with the seconds since the first sample. `options` are those of `start`.
    """
    raw = (pcm * 32767).astype("<i2").tobytes()
    async with connect(url, compression=None, max_size=None) as socket:
        await socket.send(orjson.dumps({"type": "start"} | options).decode())
        ready = orjson.loads(await socket.recv())
        assert ready["type"] == "ready", ready
        began_s = time.perf_counter()

        async def speak() -> None:
            for start in range(0, len(raw), 2 * CHUNK_SAMPLES):
                chunk = raw[start : start + 2 * CHUNK_SAMPLES]
                heard_s = (start + len(chunk)) / 32000
                await asyncio.sleep(max(0.0, began_s + heard_s - time.perf_counter()))
                await socket.send(chunk)
            await socket.send('{"type":"stop"}')

        speaking = asyncio.create_task(speak())
        async for message in socket:
            event = orjson.loads(message)
            assert event["type"] != "error", event
            yield time.perf_counter() - began_s, event
            if event["type"] == "done":
                break
        await speaking


def _see(screen: Screen, now_s: float, event: dict[str, Any]) -> None:
    if event["type"] == "final":
        screen.see_final(now_s, event["segment"], event["text"])
    else:
        screen.see_partial(now_s, event["segment"], event["text"], event.get("committed", {}).get("text", ""))
