"""Containers that are still being recorded: decoded as they come, by processes in a sandbox."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

import av
import numpy as np
import pytest
import pytest_asyncio
import uvloop
from numpy.typing import NDArray

from frontend.decoding.decoders import Decoders
from frontend.decoding.live import LiveDecoding
from shared.errors import InvalidAudioError, ServerBusyError, UnsupportedAudioError
from tests.integration.decoding import decoders_of, eventually, server_of
from tests.limits import limit_s
from tests.recorders import fragments, stream_of, webm

pytestmark = pytest.mark.asyncio(loop_scope="module")
RATE_HZ = 48_000
TONE = (0.4 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE_HZ) / RATE_HZ)).astype(np.float32)
RECORDERS: dict[str, Callable[[NDArray[np.float32]], list[bytes]]] = {
    "webm": webm,
    "mp4": fragments,
    **{kind: lambda pcm, kind=kind: stream_of(kind, pcm) for kind in ("ogg", "mp3", "adts", "flac", "wav")},
}
BEHIND_S = {"flac": 1.2}
"""The parser of FLAC looks ten frames ahead."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoders() -> AsyncIterator[Decoders]:
    async with Decoders.running(1, patience_s=10, most_live=2) as decoders:
        await server_of(decoders)
        yield decoders


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _places(decoders: Decoders) -> None:
    """A place is free again when its process has ended, which may be after the test that had it."""
    await eventually(lambda: not decoders.live_streams)


class Listener:
    """What has come out of one stream."""

    def __init__(self, decoding: LiveDecoding) -> None:
        self._decoding = decoding
        self._pcm = bytearray()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for pcm in self._decoding.audio():
            self._pcm += pcm

    @property
    def samples(self) -> NDArray[np.float32]:
        return np.frombuffer(bytes(self._pcm), "<i2") / np.float32(32768)


@contextlib.asynccontextmanager
async def listening(decoders: Decoders) -> AsyncIterator[tuple[LiveDecoding, Listener]]:
    decoding = await decoders.live()
    listener = Listener(decoding)
    try:
        yield decoding, listener
    finally:
        listener.task.cancel()
        await asyncio.wait((listener.task,))
        decoding.close()


async def spoken(decoding: LiveDecoding, pieces: Sequence[bytes]) -> None:
    async with asyncio.timeout(20):
        for piece in pieces:
            await decoding.write(piece)
        await decoding.drained()


@pytest.mark.parametrize("kind", RECORDERS)
async def test_audio_comes_out_as_it_is_recorded(decoders: Decoders, kind: str) -> None:
    pieces = RECORDERS[kind](TONE)
    async with listening(decoders) as (decoding, listener):
        half = len(pieces) // 2
        await spoken(decoding, pieces[:half])
        recorded_s = 2 * sum(map(len, pieces[:half])) / sum(map(len, pieces))
        assert len(listener.samples) / 16_000 >= recorded_s - BEHIND_S.get(kind, 0.25)
        await spoken(decoding, pieces[half:])
        decoding.end()
        await listener.task
        assert len(listener.samples) / 16_000 == pytest.approx(2, abs=0.1)
        inner = listener.samples[4000:-4000]
        assert np.abs(np.fft.rfft(inner)).argmax() * 16_000 / len(inner) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("kind", ["webm", "mp4", "ogg"])
async def test_a_recorder_may_begin_again(decoders: Decoders, kind: str) -> None:
    async with listening(decoders) as (decoding, listener):
        await spoken(decoding, RECORDERS[kind](TONE))
        await spoken(decoding, RECORDERS["mp4" if kind == "webm" else "webm"](TONE))
        decoding.end()
        await listener.task
        assert len(listener.samples) / 16_000 == pytest.approx(4, abs=0.2)


async def test_pieces_may_be_cut_anywhere(decoders: Decoders) -> None:
    content = b"".join(webm(TONE))
    async with listening(decoders) as (decoding, listener):
        await spoken(decoding, [content[at : at + 97] for at in range(0, len(content), 97)])
        decoding.end()
        await listener.task
        assert len(listener.samples) / 16_000 == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(("kind", "first_bytes"), [("mp3", 2000), ("webm", 3), ("webm", 100), ("mp4", 5), ("ogg", 2)])
async def test_pause_before_the_kind_is_known_delays_nothing(decoders: Decoders, kind: str, first_bytes: int) -> None:
    content = b"".join(RECORDERS[kind](TONE))
    async with listening(decoders) as (decoding, listener):
        await spoken(decoding, [content[:first_bytes]])
        await spoken(decoding, [content[first_bytes:]])
        decoding.end()
        await listener.task
        assert len(listener.samples) / 16_000 == pytest.approx(2, abs=0.1)


async def test_inverted_stereo_is_heard(decoders: Decoders) -> None:
    async with listening(decoders) as (decoding, listener):
        await spoken(decoding, stream_of("flac", np.stack([TONE, -TONE], axis=1)))
        decoding.end()
        await listener.task
        assert [warning.code for warning in decoding.take_warnings()] == ["channels_inverted"]
        assert np.sqrt(np.mean(listener.samples[4000:] ** 2)) == pytest.approx(0.28, abs=0.02)


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (
            bytes(5000),
            UnsupportedAudioError,
            "is of an unknown kind; containers",
        ),
        (b"#!AMR\n" + bytes(5000), UnsupportedAudioError, "is AMR; containers .*, or upload a recording"),
        (
            b"RIFX\0\0\0\0WAVE" + bytes(100),
            UnsupportedAudioError,
            "is WAV with big-endian .*; containers",
        ),
        ((b"\x47\x40\0\x10" + bytes(184)) * 9, UnsupportedAudioError, "is MPEG-TS; containers"),
        (b"<html><body>Not found", UnsupportedAudioError, r"is a web page \(HTML\); containers"),
        (b"RIFF\0\0\0\0WAVE" + bytes(100), InvalidAudioError, "cannot be read"),
        (webm(TONE)[0][:-20] + bytes(2000), InvalidAudioError, "WebM"),
    ],
)
async def test_what_cannot_be_decoded_is_told(
    decoders: Decoders, content: bytes, error: type[Exception], said: str
) -> None:
    async with listening(decoders) as (decoding, listener):
        await decoding.write(content)
        decoding.end()
        with pytest.raises(error, match=said):
            await listener.task
        await decoding.write(b"more")
        await decoding.drained()


async def test_an_mp4_whose_index_comes_last_is_refused_with_what_helps(decoders: Decoders) -> None:
    """A shorter file would fit into the demuxer's buffer, and be decoded."""
    file, pcm = io.BytesIO(), np.tile(TONE, 10)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for at in range(0, len(pcm) - 1024, 1024):
            frame = av.AudioFrame.from_ndarray(pcm[None, at : at + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts = RATE_HZ, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    async with listening(decoders) as (decoding, listener):
        writing = asyncio.create_task(decoding.write(file.getvalue()))
        with pytest.raises(UnsupportedAudioError, match="its index is not at its beginning"):
            await listener.task
        await writing


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
async def test_a_writer_that_waits_returns_when_its_stream_is_closed(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """uvloop aborts the whole process if a descriptor is closed that it watches."""

    async def closed() -> None:
        async with Decoders.running(1, patience_s=10, most_live=1) as decoders, asyncio.timeout(limit_s(20)):
            decoding = await decoders.live()
            writing = asyncio.create_task(decoding.write(bytes(1 << 20)))  # far more than a pipe holds
            await asyncio.sleep(0)
            decoding.close()
            await writing

    await asyncio.to_thread(_run, loop_factory, closed)


def _run(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], Coroutine[None, None, None]]
) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


async def test_streams_have_decoders_of_their_own_and_no_more_than_may_be(decoders: Decoders) -> None:
    async with listening(decoders) as (first, _):
        await spoken(first, webm(TONE)[:40])
        async with listening(decoders):
            await eventually(lambda: len(decoders_of(decoders)) == 2)
            with pytest.raises(ServerBusyError, match="All 2 decoders of live streams are in use"):
                await decoders.live()
    await eventually(lambda: not decoders_of(decoders) and not decoders.live_streams)


async def test_nothing_is_read_while_the_audio_is_not_consumed(decoders: Decoders) -> None:
    decoding = await decoders.live()
    writing = asyncio.create_task(_written(decoding, stream_of("wav", np.tile(TONE, 30))))
    audio = decoding.audio()
    total_bytes = len(await anext(audio))
    assert not writing.done()
    async for pcm in audio:
        total_bytes += len(pcm)
    await writing
    assert total_bytes == 2 * 16_000 * 60
    decoding.close()


async def _written(decoding: LiveDecoding, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        await decoding.write(piece)
    decoding.end()
