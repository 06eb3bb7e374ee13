"""Recordings of the command line: decoding, standard input, and real-time pace."""

import asyncio
import io
import os
import sys
import time
import wave
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from frontend.cli.recording import Block, opened, paced
from shared.errors import VoxtralError


def wav_file(path: Path, duration_s: float) -> bytes:
    """A WAV of noise; returns its samples."""
    samples = (np.random.default_rng(1).standard_normal(round(duration_s * 16_000)) * 3000).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples)
    return samples


async def collected(blocks: AsyncIterator[Block]) -> list[Block]:
    return [block async for block in blocks]


async def test_pipe_is_a_file_too(tmp_path: Path) -> None:
    samples = wav_file(tmp_path / "a.wav", 3.3)
    content = (tmp_path / "a.wav").read_bytes()
    os.mkfifo(tmp_path / "pipe")

    with ThreadPoolExecutor() as pool:
        writing = pool.submit((tmp_path / "pipe").write_bytes, content)
        with opened(str(tmp_path / "pipe")) as recording:
            async with recording.decoded() as decoded:
                blocks = await collected(decoded)
            assert await recording.content() == (content, "container")
        assert writing.result() == len(content)

    assert b"".join(block.pcm for block in blocks) == samples
    assert recording.name == str(tmp_path / "pipe")


async def test_recording_gives_the_samples_of_its_file(tmp_path: Path) -> None:
    samples = wav_file(tmp_path / "a.wav", 3.3)

    with opened(str(tmp_path / "a.wav")) as recording:
        async with recording.decoded() as decoded:
            blocks = await collected(decoded)

    assert b"".join(block.pcm for block in blocks) == samples
    fractions = [block.fraction_read for block in blocks]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


async def test_recording_reads_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = wav_file(tmp_path / "a.wav", 1.0)
    content = (tmp_path / "a.wav").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    with opened("-") as recording:
        async with recording.decoded() as decoded:
            blocks = await collected(decoded)

        assert await recording.content() == (content, "container")
    assert b"".join(block.pcm for block in blocks) == samples


async def test_recording_raises_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not audio")

    with opened(str(tmp_path / "a.wav")) as recording:
        async with recording.decoded() as decoded:
            with pytest.raises(VoxtralError):
                await collected(decoded)


async def test_paced_gives_all_audio_no_faster_than_it_was_spoken() -> None:
    async def blocks() -> AsyncIterator[Block]:
        for number in range(2):
            yield Block(bytes([number]) * 4800, 0.5)

    begun_s = time.monotonic()
    chunks = await collected(paced(blocks(), 1000))

    assert time.monotonic() - begun_s >= 0.29
    assert b"".join(chunk.pcm for chunk in chunks) == bytes(4800) + b"\x01" * 4800
    assert max(len(chunk.pcm) for chunk in chunks) == 2000


async def test_paced_can_be_cancelled() -> None:
    async def blocks() -> AsyncIterator[Block]:
        yield Block(bytes(3_200_000), 1.0)

    task = asyncio.create_task(collected(paced(blocks(), 16_000)))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
