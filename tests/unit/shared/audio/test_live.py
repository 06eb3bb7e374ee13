"""Live bytes: what they are recognised as, WAV headers, and odd ends."""

import re
import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audio.live import LiveAudio, UnsupportedStreamError
from shared.audio.pcm import AudioFormat
from shared.audio.recognition import CONTAINERS, MPEG_BYTES, NAMES, start_of
from shared.errors import InvalidAudioError
from tests.recorders import fragments, stream_of, webm
from tests.speech import noise

STORED = AudioFormat()
SAMPLES = (noise(1.0) * 32767).astype("<i2")
PCM = SAMPLES.tobytes()
CONTAINER_NAMES = [NAMES[kind] for kind in CONTAINERS]
STREAMS = {
    "WebM": lambda: webm(noise(0.5)),
    "MP4": lambda: fragments(noise(0.5)),
    **{
        name: lambda kind=kind: stream_of(kind, noise(0.5))
        for name, kind in (("Ogg", "ogg"), ("MP3", "mp3"), ("AAC (ADTS)", "adts"), ("FLAC", "flac"))
    },
    "AMR": lambda: [b"#!AMR\n" + bytes(range(64))],
    "AIFF": lambda: [b"FORM\x00\x01\x00\x00AIFFCOMM" + bytes(64)],
    "AU": lambda: [b".snd" + struct.pack(">5I", 24, 0xFFFFFFFF, 3, 8000, 1)],
    "AVI": lambda: [b"RIFF\x00\x01\x00\x00AVI LIST" + bytes(64)],
    "FLV": lambda: [b"FLV\x01\x04\x00\x00\x00\x09" + bytes(64)],
    "MPEG-TS": lambda: [(b"\x47\x40\x00\x10" + bytes(184)) * 9],
    "W64": lambda: [b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00" + bytes(64)],
    "WAV with big-endian samples (RIFX)": lambda: [b"RIFX\x00\x01\x00\x00WAVEfmt " + bytes(64)],
}


def heard(audio: LiveAudio, messages: Sequence[bytes]) -> bytes:
    return b"".join([audio.feed(one, begins_message=True) for one in messages]) + audio.finish()


def form(tag: int, channels: int, rate_hz: int, bits: int) -> bytes:
    frame_bytes = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits)


def wav(content: bytes, fmt: bytes, *, size: int | None = None, before: bytes = b"", after: bytes = b"") -> bytes:
    size_bytes = len(content) if size is None else size
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + before
    data = b"data" + struct.pack("<I", size_bytes) + content
    return b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + chunks + data + after


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
def test_what_is_no_raw_audio_is_refused_by_name_at_its_first_bytes(name: str, piece_bytes: int) -> None:
    content = b"".join(STREAMS[name]())
    pieces = [content[start : start + piece_bytes] for start in range(0, MPEG_BYTES + piece_bytes, piece_bytes)]
    audio = LiveAudio(STORED, takes_container=True)
    with pytest.raises(UnsupportedStreamError, match=f"^The audio is {re.escape(name)},") as told:
        assert heard(audio, pieces) == b""
    assert ('start with encoding "container"' in told.value.message) == (name in CONTAINER_NAMES)
    with pytest.raises(UnsupportedStreamError):
        audio.feed(PCM)
    assert audio.finish() == b""


def test_audio_of_a_rejected_stream_is_not_kept() -> None:
    audio, depths = LiveAudio(STORED), set()
    for _ in range(3):
        with pytest.raises(UnsupportedStreamError) as told:
            audio.feed(b"OggS\0\2" + PCM)
        depths.add(len(told.traceback))
    assert len(depths) == 1, "a traceback that grows holds all audio"


def test_tag_of_an_mp3_is_recognised() -> None:
    with pytest.raises(UnsupportedStreamError, match="MP3"):
        LiveAudio(STORED).feed(b"ID3\x04\x00\x00\x00\x00\x00\x0a")


@pytest.mark.parametrize(("name", "length"), [("MP3", MPEG_BYTES // 2), ("WebM", 60)])
def test_a_beginning_too_short_to_be_sure_is_recognised_when_nothing_follows(name: str, length: int) -> None:
    audio = LiveAudio(STORED)
    assert audio.feed(b"".join(STREAMS[name]())[:length]) == b""
    with pytest.raises(UnsupportedStreamError, match="or upload it as a recording"):
        audio.flush()


@settings(deadline=None)
@given(st.binary(min_size=0, max_size=64), st.integers(1, 40))
def test_raw_audio_is_never_changed(beginning: bytes, piece_bytes: int) -> None:
    content = beginning + PCM[:9000]
    audio = LiveAudio(STORED)
    pieces = [content[start : start + piece_bytes] for start in range(0, len(content), piece_bytes)]
    if start_of(content).kind is None:
        assert heard(audio, pieces) == content[: len(content) // 2 * 2]


@pytest.mark.parametrize(
    "begin", [b"RIFF", b"fLaC\x00", b"OggS", b"ID3", b"\x1a\x45\xdf\xa3", b"\xff\xfb\x90", b"\xff\xf1"]
)
def test_audio_that_only_begins_like_a_container_is_heard_whole(begin: bytes) -> None:
    content = begin + PCM
    assert heard(LiveAudio(STORED), [content[:5], content[5:]]) == content[: len(content) // 2 * 2]
    assert heard(LiveAudio(STORED), [begin]) == begin[: len(begin) // 2 * 2]


def test_silence_waits_for_nothing() -> None:
    for encoding, value in (("pcm_s16le", b"\0"), ("pcm_s16le", b"\x47\0"), ("pcmu", b"\xff"), ("pcma", b"\xd5")):
        assert LiveAudio(AudioFormat(encoding)).feed(value * 320) != b""


def test_commit_hears_the_first_bytes_whatever_they_may_become() -> None:
    audio = LiveAudio(STORED)
    assert audio.feed(b"RIFF") == b""
    assert audio.flush() == b"RIFF"
    assert audio.feed(PCM) == PCM


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("piece_bytes", [1, 320, 100_000])
def test_wav_header_is_not_heard(size: int | None, piece_bytes: int) -> None:
    note = b"LIST" + struct.pack("<I", 5) + b"INFO!\0"
    content = wav(PCM, form(1, 1, 16_000, 16), size=size, before=note, after=note if size is None else b"")
    audio = LiveAudio(AudioFormat("pcmu", 8_000, 2))
    assert heard(audio, [content[at : at + piece_bytes] for at in range(0, len(content), piece_bytes)]) == PCM
    assert audio.take_warnings() == []


@pytest.mark.parametrize(
    ("tag", "bits", "content"),
    [
        (1, 8, ((SAMPLES.astype(np.int32) >> 8) + 128).astype(np.uint8).tobytes()),
        (1, 24, (SAMPLES.astype("<i4") << 8).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()),
        (1, 32, (SAMPLES.astype("<i4") << 16).tobytes()),
        (3, 32, (SAMPLES / 32768).astype("<f4").tobytes()),
        (3, 64, (SAMPLES / 32768).astype("<f8").tobytes()),
    ],
)
def test_wav_header_names_the_width(tag: int, bits: int, content: bytes) -> None:
    samples = np.frombuffer(heard(LiveAudio(STORED), [wav(content, form(tag, 1, 16_000, bits))]), "<i2")
    expected = SAMPLES if bits > 8 else SAMPLES >> 8 << 8
    assert np.array_equal(samples, expected)


def test_wav_header_names_rate_and_channels() -> None:
    seconds = np.arange(48_000) / 48_000
    tone = np.rint(8000 * np.sin(2 * np.pi * 440 * seconds)).astype("<i2")
    extensible = form(0xFFFE, 2, 48_000, 16) + struct.pack("<HHI", 22, 16, 3)
    extensible += b"\x01\x00" + bytes.fromhex("000000001000800000aa00389b71")
    content = wav(np.stack([tone, tone], 1).tobytes(), extensible)
    samples = np.frombuffer(heard(LiveAudio(STORED), [content]), "<i2")
    assert len(samples) == 16_000
    assert np.abs(np.fft.rfft(samples)).argmax() == 440


def test_each_message_may_be_a_wav_file() -> None:
    first, second = wav(PCM, form(1, 1, 16_000, 16)), wav(PCM[:320], form(1, 1, 16_000, 16), size=0)
    assert heard(LiveAudio(STORED), [first, second, first + second]) == PCM + PCM[:320] + PCM + PCM[:320]


def test_audio_continues_after_a_wrong_size() -> None:
    assert heard(LiveAudio(STORED), [wav(PCM, form(1, 1, 16_000, 16), size=64), PCM]) == PCM + PCM


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (wav(PCM, form(0x11, 1, 16_000, 4)), UnsupportedStreamError, "format 0x0011 with 4 bits"),
        (wav(PCM, form(1, 6, 48_000, 16)), UnsupportedStreamError, "6 channels"),
        (wav(PCM, form(1, 1, 1_000, 16)), UnsupportedStreamError, "6000 to 384000"),
        (wav(PCM, form(1, 1, 16_000, 16)[:14]), InvalidAudioError, "14 bytes"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", InvalidAudioError, "no fmt chunk"),
        (b"RIFF\0\0\0\0WAVEJUNK\0\0\0\x10" + bytes(1 << 21), InvalidAudioError, "before the samples"),
        (wav(b"\0\0", form(1, 1, 16_000, 16)) * 100, InvalidAudioError, "more than 64 WAV headers"),
    ],
)
def test_wav_header_that_cannot_be_served_is_told(content: bytes, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        LiveAudio(STORED).feed(content, begins_message=True)


@pytest.mark.parametrize(
    ("audio_format", "odd"), [(STORED, 1), (AudioFormat("pcm_f32le", 48_000, 2), 7), (AudioFormat("pcm_s24le"), 2)]
)
def test_odd_end_is_dropped_with_a_warning(audio_format: AudioFormat, odd: int) -> None:
    whole, cut = LiveAudio(audio_format), LiveAudio(audio_format)
    content = bytes(audio_format.frame_bytes * 480)
    assert heard(cut, [content + b"\1" * odd]) == heard(whole, [content])
    assert cut.take_warnings() == [
        ("incomplete_sample", f"The audio ended within a sample; its {odd} byte(s) were dropped.")
    ]
    assert cut.take_warnings() == whole.take_warnings() == []
