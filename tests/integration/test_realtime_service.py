"""The whole service with the tiny trained checkpoint: real words, over WebSocket, at their times."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect

from tests.engine_sessions import plain
from tests.stack import Stack, serving
from tests.tiny import scenes
from worker.engines.registry import REALTIME

CHECKPOINT = Path(scenes.__file__).parent / "voxtral_realtime"
CHUNK_SAMPLES = 640
TOLERANCE_S = 0.16


@dataclass
class Heard:
    """What one live session was told."""

    partials: list[dict[str, Any]] = field(default_factory=list)
    finals: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    text: str = ""

    @property
    def words(self) -> list[dict[str, Any]]:
        return [word for final in self.finals for word in final["words"]]


@pytest.fixture(scope="module")
def realtime_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    model = {"name": REALTIME, "path": str(CHECKPOINT), "device": "cpu", "threads": 1, "slots": 40}
    with serving(Stack(tmp_path_factory.mktemp("realtime"), model=model)) as service:
        yield service


async def said(
    stack: Stack, audio: NDArray[np.float32], *, chunk_samples: int = CHUNK_SAMPLES, **options: Any
) -> Heard:
    """One live session, sent as fast as the service takes it."""
    async with connect(stack.ws_url, compression=None, ping_interval=None) as socket:
        await socket.send(orjson.dumps({"type": "start"} | options).decode())
        speaking = asyncio.create_task(_speak(socket, audio, chunk_samples))
        heard = Heard()
        async for event in _events(socket):
            heard.kinds.append(event["type"])
            if event["type"] == "partial":
                heard.partials.append(event)
            elif event["type"] == "final":
                heard.finals.append(event)
        heard.text = event["text"]
        await speaking
        return heard


async def _speak(socket: ClientConnection, audio: NDArray[np.float32], chunk_samples: int) -> None:
    pcm = (np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()
    for start in range(0, len(pcm), 2 * chunk_samples):
        await socket.send(pcm[start : start + 2 * chunk_samples])
    await socket.send('{"type": "stop"}')


async def _events(socket: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    async for message in socket:
        event = orjson.loads(message)
        assert event["type"] != "error", event
        yield event
        if event["type"] == "done":
            return


@pytest.mark.parametrize("delay_ms", [240, 480])
async def test_words_never_heard_in_training_are_transcribed(realtime_stack: Stack, delay_ms: int) -> None:
    spoken = [scenes.scene(seed, 8, snr_db=(None, 30.0, 20.0)[seed % 3]) for seed in range(100, 112)]
    heard = await asyncio.gather(*(said(realtime_stack, one.audio, delay_ms=delay_ms) for one in spoken))
    assert jiwer.wer([one.text for one in spoken], [plain(one.text) for one in heard]) <= 0.05
    right = [(one, other) for one, other in zip(spoken, heard, strict=True) if one.text == plain(other.text)]
    assert len(right) > 6
    for one, other in right:
        for word, told in zip(one.words, other.words, strict=True):
            assert plain(told["text"]) == word.text
            assert told["end"] == pytest.approx(word.end_samples / 16_000, abs=TOLERANCE_S)
            assert told["start"] == pytest.approx(word.start_samples / 16_000, abs=TOLERANCE_S)


async def test_partials_never_retract_and_finals_end_them(realtime_stack: Stack) -> None:
    spoken = scenes.scene(7, 20, gap_s=(0.1, 1.5))
    heard = await said(realtime_stack, spoken.audio)
    assert len(heard.finals) > 1
    for final in heard.finals:
        shown = [one["text"] for one in heard.partials if one["segment"] == final["segment"]]
        assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
        assert final["text"] == shown[-1]
    assert heard.text == " ".join(final["text"] for final in heard.finals)
    assert heard.kinds[0] == "ready"
    assert heard.kinds.count("speech_started") == heard.kinds.count("speech_stopped") == len(heard.finals)


async def test_silence_and_noise_say_nothing(realtime_stack: Stack) -> None:
    generator = np.random.default_rng(0)
    quiet = np.zeros(10 * 16_000, np.float32)
    noisy = scenes.background("pink", 10 * 16_000, generator) * np.float32(0.01)
    for heard in await asyncio.gather(said(realtime_stack, quiet), said(realtime_stack, noisy)):
        assert heard.text == ""
        assert heard.finals == []


async def test_commit_is_answered_before_more_audio_comes(realtime_stack: Stack) -> None:
    spoken = scenes.scene(3, ["seven", "left"], gap_s=(0.1, 0.2), trail_s=0.1)
    async with connect(realtime_stack.ws_url, compression=None) as socket:
        await socket.send('{"type": "start"}')
        await socket.send((spoken.audio * 32767).astype("<i2").tobytes())
        await socket.send('{"type": "commit"}')
        async for message in socket:
            event = orjson.loads(message)
            if event["type"] == "final":
                break
        assert plain(event["text"]) == "seven left"
        await socket.send('{"type": "cancel"}')


async def test_memory_is_flat_over_many_windows(realtime_stack: Stack) -> None:
    """Four sessions of 50 s side by side, each nearly five times as long as every window."""
    spoken = scenes.scene(11, 20, gap_s=(0.2, 1.0))
    long = np.tile(spoken.audio, -(-50 * 16_000 // len(spoken.audio)))[: 50 * 16_000]
    sessions = [
        asyncio.create_task(said(realtime_stack, long, chunk_samples=8000, words=False, partials=False))
        for _ in range(4)
    ]
    sizes: list[tuple[float, int]] = []
    while not all(session.done() for session in sessions):
        worker = await asyncio.to_thread(realtime_stack.report)
        sizes.append((worker["audio_s_total"], worker["rss_bytes"]))
        await asyncio.sleep(0.5)
    heard = await asyncio.gather(*sessions)
    assert len({one.text for one in heard}) == 1, "sessions with the same audio say the same"
    assert jiwer.wer(" ".join([spoken.text] * 2), " ".join(plain(heard[0].text).split()[: 2 * 20])) <= 0.05
    heard_s = max(audio_s for audio_s, _ in sizes) - min(audio_s for audio_s, _ in sizes)
    assert heard_s > 125
    settled = [size for audio_s, size in sizes if audio_s - sizes[0][0] > heard_s / 4]
    assert max(settled) - settled[0] < 8 * 2**20
