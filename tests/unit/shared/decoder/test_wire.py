"""What a frontend takes from a decoder, and what it does not believe."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from frontend.decoding.reading import Reading, new_pipe
from shared.audio.damage import AudioWarning
from shared.audio.tracks import Separation
from shared.decoder.wire import (
    HEAD,
    Kind,
    WireError,
    error_content,
    error_from,
    frame,
    head_of,
    warning_content,
    warning_from,
)
from shared.errors import AudioTooLongError, InvalidAudioError, UnsupportedAudioError


@asynccontextmanager
async def reading(
    *frames: bytes, max_duration_s: float | None = 1.0, separation: Separation | None = None
) -> AsyncIterator[Reading]:
    """What a decoder has written before it ended."""
    with new_pipe() as pipe:
        reader = await Reading.of(pipe, 1000, max_duration_s, separation)
        os.write(pipe.writable, b"".join(frames))
    try:
        yield reader
    finally:
        reader.close()


async def test_blocks_come_in_order_and_say_how_far_the_file_was_read() -> None:
    sent = (frame(Kind.AUDIO, b"\1\0" * 10, 250), frame(Kind.AUDIO, b"\2\0", 5000), frame(Kind.DONE))
    async with reading(*sent) as decoder:
        first, second = await decoder.next(1), await decoder.next(1)
        assert first is not None
        assert second is not None
        assert (first.pcm, first.fraction_read) == (b"\1\0" * 10, 0.25)
        assert (second.pcm, second.fraction_read) == (b"\2\0", 1.0)
        assert await decoder.next(1) is None


async def test_decoder_that_does_not_count_is_stopped() -> None:
    second = frame(Kind.AUDIO, bytes(32_000))
    async with reading(second, second, max_duration_s=0.5) as decoder:
        assert await decoder.next(1)
        with pytest.raises(AudioTooLongError, match=r"longer than 0\.5 s"):
            await decoder.next(1)


@pytest.mark.parametrize(
    "error", [InvalidAudioError("It is damaged."), UnsupportedAudioError("It is a picture."), AudioTooLongError(1.0)]
)
async def test_errors_come_as_they_were(error: InvalidAudioError | UnsupportedAudioError | AudioTooLongError) -> None:
    async with reading(frame(Kind.ERROR, error_content(error))) as decoder:
        with pytest.raises(type(error)) as caught:
            await decoder.next(1)
    assert (caught.value.code, caught.value.message) == (error.code, error.message)


async def test_warnings_come_between_the_blocks_and_are_bounded() -> None:
    warnings = [AudioWarning("audio_damaged", "It is damaged.", 1.5), AudioWarning("audio_channels", "One is silent.")]
    told = [frame(Kind.WARNING, warning_content(warning)) for warning in warnings]
    async with reading(told[0], frame(Kind.AUDIO, b"\1\0"), told[1], frame(Kind.DONE)) as decoder:
        assert await decoder.next(1)
        assert decoder.warnings == warnings[:1]
        assert await decoder.next(1) is None
        assert decoder.warnings == warnings
    async with reading(*told * 10) as decoder:
        with pytest.raises(WireError, match="very many warnings"):
            await decoder.next(1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"text"',
        orjson.dumps({"code": "unauthorized", "message": "Send your key to me."}),
        orjson.dumps({"code": "audio_damaged", "message": 1}),
        orjson.dumps({"code": ["audio_damaged"], "message": "It is damaged."}),
        orjson.dumps({"code": "audio_damaged", "message": "It is damaged.", "start": "now"}),
    ],
)
def test_warnings_that_no_recording_causes_are_refused(content: bytes) -> None:
    with pytest.raises(WireError):
        warning_from(content)


@pytest.mark.parametrize(
    "raw",
    [
        HEAD.pack(b"?", 0, 0),
        HEAD.pack(b"\xff", 0, 0),
        HEAD.pack(b"A", 32_002, 0),
        HEAD.pack(b"A", 0xFFFF_FFFF, 0),
        HEAD.pack(b"A", 3, 0),
        HEAD.pack(b"E", 5000, 0),
        HEAD.pack(b"D", 1, 0),
    ],
)
def test_frames_that_no_decoder_sends_are_refused(raw: bytes) -> None:
    with pytest.raises(WireError):
        head_of(raw)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        orjson.dumps({"code": "unauthorized", "message": "Send your key to me."}),
        orjson.dumps({"code": "audio_too_long", "message": "where there is no limit"}),
        orjson.dumps({"code": "invalid_audio", "message": 1}),
    ],
)
def test_errors_that_no_recording_causes_are_refused(content: bytes) -> None:
    with pytest.raises(WireError):
        error_from(content, None)


def test_sentences_are_bounded_and_hold_no_control_characters() -> None:
    error = error_from(orjson.dumps({"code": "invalid_audio", "message": "\x1b[2J" + "x" * 9000}), None)
    assert error.message == "?[2J" + "x" * 496


async def test_decoder_that_ends_without_a_word_and_one_that_says_nothing() -> None:
    async with reading(frame(Kind.AUDIO, bytes(200))[:-50]) as decoder:
        with pytest.raises(EOFError):
            await decoder.next(1)
    async with reading(frame(Kind.FAULT, b"Traceback")) as decoder:
        with pytest.raises(WireError, match="Traceback"):
            await decoder.next(1)
    with new_pipe() as pipe:
        silent = await Reading.of(pipe, 1000, None)
        with pytest.raises(TimeoutError):
            await silent.next(0.01)
        silent.close()


async def test_number_of_tracks_is_known_before_their_audio() -> None:
    separation, second = Separation(most=4), frame(Kind.AUDIO, bytes(24_000))
    async with reading(frame(Kind.TRACKS, b"3"), second, second, separation=separation) as decoder:
        blocks = [await decoder.next(1) for _ in range(2)]
    assert separation.found == 3
    assert [(block.channels, block.frame_bytes) for block in blocks if block] == [(3, 6), (3, 6)]


@pytest.mark.parametrize(
    "frames",
    [
        [frame(Kind.AUDIO, bytes(4))],
        [frame(Kind.TRACKS, b"0")],
        [frame(Kind.TRACKS, b"5")],
        [frame(Kind.TRACKS, b"x")],
        [frame(Kind.TRACKS, b"2"), frame(Kind.TRACKS, b"1")],
        [frame(Kind.TRACKS, b"2"), frame(Kind.AUDIO, bytes(6))],
    ],
)
async def test_tracks_that_no_decoder_sends_are_refused(frames: list[bytes]) -> None:
    async with reading(*frames, separation=Separation(most=4)) as decoder:
        with pytest.raises(WireError):
            await decoder.next(1)
    async with reading(frame(Kind.TRACKS, b"2")) as decoder:
        with pytest.raises(WireError):
            await decoder.next(1)
