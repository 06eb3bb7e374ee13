"""Live transcription through the whole service: speech over WebSocket in real time, words timed as they come back.

Words are timed from where they truly end in the audio (`engine_live` says how that is found). Everything runs on the
same machine: client, frontends, Redis and worker.
"""

import asyncio
import gc
import time
from typing import Any

import numpy as np
import orjson
from faster_whisper import WhisperModel
from websockets.asyncio.client import connect

from tests.bench.engine_live import Measured, Screen, Script, edits, measured, normalised, script
from tests.bench.figures import Figure, percentile
from tests.bench.pipeline import CHUNK_SAMPLES
from tests.speech import SENTENCES, synthesise
from tests.stack import Stack
from worker.engines.whisper.engine import load
from worker.engines.whisper.weights import model_directory

MINUTES = {1: 2.5, 4: 1.5, 8: 1.5}
"""Length of the speech, by number of streams."""
FIRST_P50_MS = {1: 450, 4: 900, 8: 1800}
STABLE_P50_MS = {1: 900, 4: 1600}
FINAL_REPEATS = 10
AUDIBLE = 10 ** (-45 / 20)
"""Below the peak; what is quieter at the end is the voice's trailing silence, in which a final could be made early."""


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
    words = sum(result.words for result in results)
    first_ms = [ms for result in results for ms in result.first_ms]
    stable_ms = [ms for result in results for ms in result.stable_ms]
    error_percent = 100 * sum(result.errors for result in results) / words
    retracted = 100 * sum(result.retracted for result in results) / words
    label = f"{streams} stream{'s' * (streams > 1)}"
    figures = [
        Figure(f"a word first appears, {label}, p50", percentile(first_ms, 0.5), "ms", FIRST_P50_MS[streams]),
        Figure(f"a word first appears, {label}, p95", percentile(first_ms, 0.95), "ms", 900 if streams == 1 else None),
        Figure(f"a word is stable, {label}, p50", percentile(stable_ms, 0.5), "ms", STABLE_P50_MS.get(streams)),
        Figure(f"a word is stable, {label}, p95", percentile(stable_ms, 0.95), "ms", 1800 if streams == 1 else None),
        Figure(f"words retracted per 100, {label}", retracted, "words", 5),
        Figure(f"word error rate live, {label}", error_percent, "%", 6),
    ]
    if streams == 1:
        figures += [
            Figure("word error rate of one offline decode of the same audio", offline_error_percent, "%"),
            Figure("word error rate live over offline", error_percent - offline_error_percent, "points", 1),
        ]
    return figures


async def _play(url: str, scripts: list[Script]) -> list[Measured]:
    screens = await asyncio.gather(*(_stream(url, one.pcm, delay_s=1.3 * index) for index, one in enumerate(scripts)))
    return [measured(one, screen) for one, screen in zip(scripts, screens, strict=True)]


async def _final_latency_ms(url: str, sentence: str) -> float:
    """From the last sound of a sentence, with `stop` right behind it, to its last final."""
    pcm = synthesise(sentence)
    pcm = pcm[: np.flatnonzero(np.abs(pcm) > AUDIBLE * np.abs(pcm).max())[-1] + 1]
    screen = await _stream(url, pcm, delay_s=0)
    return (screen.finished_s - len(pcm) / 16000) * 1000


async def _stream(url: str, pcm: np.ndarray, delay_s: float) -> Screen:
    """Speak in real time, as a microphone does: a chunk is sent when its last sample has been heard."""
    await asyncio.sleep(delay_s)
    raw = (pcm * 32767).astype("<i2").tobytes()
    screen = Screen()
    async with connect(url, compression=None, max_size=None) as socket:
        await socket.send('{"type":"start","language":"en"}')
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
            if event["type"] in ("partial", "final"):
                _see(screen, time.perf_counter() - began_s, event)
            if event["type"] in ("done", "error"):
                assert event["type"] == "done", event
                break
        await speaking
    return screen


def _see(screen: Screen, now_s: float, event: dict[str, Any]) -> None:
    words = normalised(event["text"])
    screen.shown.setdefault(event["segment"], []).append((now_s, words))
    if event["type"] == "final":
        screen.finals[event["segment"]] = words
        screen.finished_s = now_s
