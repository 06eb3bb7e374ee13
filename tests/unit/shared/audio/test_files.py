"""Files made on the fly in every container, whole and cut and damaged; untrusted bytes give only our errors."""

import io
import random
import struct
import tracemalloc
import wave
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.audio.blocks import BLOCK_BYTES
from shared.audio.containers import sniff
from shared.audio.files import decode_file
from shared.audio.payload import decode_raw, is_file
from shared.errors import AudioTooLongError, InvalidAudioError, InvalidFieldError, UnsupportedAudioError, VoxtralError
from tests.speech import noise

KINDS: dict[str, tuple[str, str, str, int]] = {
    "wav": ("wav", "wav", "pcm_s16le", 44_100),
    "wav-u8": ("wav", "wav", "pcm_u8", 8_000),
    "wav-s24": ("wav", "wav", "pcm_s24le", 48_000),
    "wav-f32": ("wav", "wav", "pcm_f32le", 22_050),
    "wav-mulaw": ("wav", "wav", "pcm_mulaw", 8_000),
    "flac": ("flac", "flac", "flac", 44_100),
    "mp3": ("mp3", "mp3", "libmp3lame", 44_100),
    "mp3-16k": ("mp3", "mp3", "libmp3lame", 16_000),
    "ogg-opus": ("ogg", "ogg", "libopus", 48_000),
    "ogg-flac": ("ogg", "ogg", "flac", 11_025),
    "webm-opus": ("webm", "webm", "libopus", 48_000),
    "m4a-aac": ("mp4", "ipod", "aac", 44_100),
    "m4a-alac": ("mp4", "ipod", "alac", 48_000),
}
"""What `sniff` says, and ffmpeg's muxer, codec and a sample rate."""

_ANY_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
LAYOUTS: dict[str, tuple[str, ...]] = {
    "": _ANY_LAYOUTS,
    "libmp3lame": ("mono", "stereo"),
    "alac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1(back)", "7.1(wide)"),
    "aac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1"),
}
"""By number of channels, of encoders that do not take any."""

TONE_HZ = 440


class Pipe(io.RawIOBase):
    """A sink that cannot seek, so that a muxer writes what a live recorder writes."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, chunk: Any) -> int:
        self.content += chunk
        return len(chunk)


def tone(rate: int, duration_s: float, channels: int = 1) -> NDArray[np.float32]:
    wave_form = 0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(round(rate * duration_s)) / rate)
    return np.tile(wave_form.astype(np.float32), (channels, 1))


def mux(sink: Any, muxer: str, codec: str, samples: NDArray[np.float32], rate: int, **options: str) -> None:
    layout = LAYOUTS.get(codec, _ANY_LAYOUTS)[len(samples) - 1]
    with av.open(sink, "w", format=muxer, options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        # Interleaved: of 8 planes PyAV 18.1.0 counts 9.
        interleaved = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@cache
def made(kind: str, duration_s: float = 2.0, channels: int = 1) -> bytes:
    _, muxer, codec, rate = KINDS[kind]
    buffer = io.BytesIO()
    mux(buffer, muxer, codec, tone(rate, duration_s, channels), rate)
    return buffer.getvalue()


def channels_of(kind: str) -> range:
    """How many channels files of this kind can have here."""
    return range(1, len(LAYOUTS.get(KINDS[kind][2], _ANY_LAYOUTS)) + 1)


def recorded(muxer: str, codec: str, **options: str) -> bytes:
    pipe = Pipe()
    mux(pipe, muxer, codec, tone(48_000, 2.0), 48_000, **options)
    return bytes(pipe.content)


def samples_of(blocks: Iterator[bytes]) -> NDArray[np.float32]:
    return np.frombuffer(b"".join(blocks), "<i2").astype(np.float32) / 32_768


def assert_tone(samples: NDArray[np.float32], duration_s: float = 2.0, over_s: float = 0.001) -> None:
    """The tone, at its level (LAME attenuates by 0.44 dB), as long as it should be."""
    assert -0.001 <= len(samples) / 16_000 - duration_s <= over_s
    inner = samples[4_000:-4_000]
    basis = np.exp(-2j * np.pi * TONE_HZ * np.arange(len(inner)) / 16_000)
    assert abs(2 * np.mean(inner * basis)) == pytest.approx(0.5, rel=0.07)
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(0.3535, rel=0.07)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_decode_file_keeps_tone_and_length(kind: str, channels: int) -> None:
    # AAC has no way to end within a frame of 1024 samples: up to one more comes out.
    over_s = 1024 / 44_100 if kind == "m4a-aac" else 0.001
    assert_tone(samples_of(decode_file(made(kind, channels=channels))), over_s=over_s)


@pytest.mark.parametrize("kind", KINDS)
def test_sniff_names_the_container(kind: str) -> None:
    assert sniff(made(kind)[:16_384]) == KINDS[kind][0]
    assert sniff(made(kind)) == KINDS[kind][0]


def test_sniff_takes_no_raw_audio_for_a_file() -> None:
    generator = np.random.default_rng(0)
    content = generator.integers(0, 256, 400_000, dtype=np.uint8).tobytes()
    loud = np.full(8_000, -1025, "<i2").tobytes()  # 0xFF 0xFB 0xFF 0xFB …, the beginning of an MP3 frame
    for raw in (bytes(4_000), b"\xff" * 4_000, b"\x7f" * 4_000, loud, noise(0.2).astype("<f4").tobytes()):
        assert sniff(raw) is None
    assert all(sniff(b"\xff\xfb" + content[start : start + 6_000]) is None for start in range(0, 390_000, 200))
    assert sniff(b"") is None


@given(st.binary(max_size=60))
def test_sniff_takes_any_bytes(head: bytes) -> None:
    sniff(head)


@settings(deadline=None)
@given(st.binary(max_size=30).map(lambda tail: b"ID3\x04\0\0\0\0\0\0" + tail))
@example(b"\xff\xfb")
def test_sniff_takes_cut_mp3_headers(head: bytes) -> None:
    sniff(head)
    sniff(head[10:])


def test_decode_file_yields_one_second_blocks() -> None:
    blocks = list(decode_file(made("flac", 2.5)))
    assert [len(block) for block in blocks] == [BLOCK_BYTES, BLOCK_BYTES, BLOCK_BYTES // 2]


def test_decode_file_takes_bytes_file_and_path(tmp_path: Path) -> None:
    content = made("m4a-aac")
    path = tmp_path / "tone.m4a"
    path.write_bytes(content)
    whole = b"".join(decode_file(content))
    assert b"".join(decode_file(path)) == b"".join(decode_file(str(path))) == whole
    with path.open("rb") as file:
        assert b"".join(decode_file(file)) == whole
        assert not file.closed


def test_decode_file_mixes_surround_and_takes_high_rates() -> None:
    buffer = io.BytesIO()
    mux(buffer, "wav", "pcm_s16le", tone(192_000, 2.0, 6), 192_000)
    assert_tone(samples_of(decode_file(buffer.getvalue())))


@pytest.mark.parametrize(
    ("muxer", "codec"), [("wav", "pcm_s16le"), ("webm", "libopus"), ("ogg", "libopus"), ("mp3", "libmp3lame")]
)
def test_decode_file_takes_live_recordings_even_cut(muxer: str, codec: str) -> None:
    content = recorded(muxer, codec, **({"live": "1"} if muxer == "webm" else {}))
    assert_tone(samples_of(decode_file(content)), over_s=0.06)
    if muxer != "ogg":  # its pages have sizes
        assert 0.5 < len(samples_of(decode_file(content[: len(content) // 2]))) / 16_000 < 1.5


def test_decode_file_takes_fragmented_mp4_and_index_first(tmp_path: Path) -> None:
    assert_tone(samples_of(decode_file(recorded("mp4", "aac", movflags="empty_moov"))), over_s=0.05)
    path = tmp_path / "faststart.mp4"
    mux(str(path), "mp4", "aac", tone(48_000, 2.0), 48_000, movflags="faststart")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert made("m4a-aac").index(b"moov") > made("m4a-aac").index(b"mdat")
    assert_tone(samples_of(decode_file(content)), over_s=0.05)


def test_decode_file_takes_an_mp3_with_a_tag_and_junk_behind() -> None:
    content = made("mp3")
    tag = b"ID3\x03\0\0\0\0\x0f\x76" + bytes(0x0F * 128 + 0x76)
    assert content.startswith(b"ID3")
    assert_tone(samples_of(decode_file(content + b"TAG" + bytes(125))), over_s=0.06)
    assert_tone(samples_of(decode_file(tag + content[_id3_end(content) :])), over_s=0.06)
    assert sniff(content[_id3_end(content) :]) == "mp3"


def _id3_end(content: bytes) -> int:
    return 10 + (content[8] << 7 | content[9])


def video(with_audio: bool) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        picture = container.add_stream("mpeg4", rate=25)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="mono") if with_audio else None
        for _ in range(50):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        if sound is not None:
            frame_ = av.AudioFrame.from_ndarray(tone(48_000, 2.0), format="fltp", layout="mono")
            frame_.sample_rate, frame_.pts = 48_000, 0
            container.mux(sound.encode(frame_))
            container.mux(sound.encode(None))
    return buffer.getvalue()


def test_decode_file_takes_the_sound_of_a_video() -> None:
    assert_tone(samples_of(decode_file(video(with_audio=True))), over_s=0.05)


def test_decode_file_refuses_a_video_without_sound() -> None:
    with pytest.raises(UnsupportedAudioError, match="no audio track"):
        list(decode_file(video(with_audio=False)))


def wav_header(rate: int = 16_000, channels: int = 1, data_bytes: int = 0, tag: int = 1) -> bytes:
    body = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * 2 & 0xFFFFFFFF, channels * 2 & 0xFFFF, 16)
    chunks = b"fmt " + struct.pack("<I", len(body)) + body + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + data_bytes & 0xFFFFFFFF) + b"WAVE" + chunks


AC4 = (b"\xac\x40\x00\x20" + bytes(32)) * 60
"""Frames of a codec that ffmpeg has no decoder for."""


@pytest.mark.parametrize("data_bytes", [0, 0x7FFF_F000, 0xFFFF_FFFF])
def test_decode_file_reads_a_wav_of_unknown_size_to_its_end(data_bytes: int) -> None:
    assert len(samples_of(decode_file(wav_header(data_bytes=data_bytes) + bytes(32_000)))) == 16_000


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", InvalidAudioError, "is empty"),
        (b"hello, world " * 99, UnsupportedAudioError, "The file is text; send a recording, such as WAV, FLAC, MP3"),
        (b"PK\x03\x04" + bytes(99), UnsupportedAudioError, "is a ZIP archive, or a document in that format; send"),
        (b"%PDF-1.7" + bytes(99), UnsupportedAudioError, "is a PDF document; send"),
        (b"\x89PNG\r\n" + bytes(99), UnsupportedAudioError, "is a picture; send"),
        (b"data:audio/wav;base64,UklGRg", UnsupportedAudioError, "is a data URL, whose base64 was not decoded; send"),
        (b"<!DOCTYPE html><p>404", UnsupportedAudioError, "is a web page .HTML.; send"),
        (bytes(5000), UnsupportedAudioError, "of an unknown kind; send a recording"),
        (random.Random(1).randbytes(50_000), UnsupportedAudioError, "of an unknown kind; send a recording"),
        (wav_header(), InvalidAudioError, "holds no samples"),
        (b"RIFF\0\0\0\0WAVE", InvalidAudioError, "no data chunk"),
        (b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 1_000_001, InvalidAudioError, "more than 1000000 chunks"),
        (wav_header(500_000, 1, 4) + bytes(4), UnsupportedAudioError, "500000 Hz; allowed: 6000 to 384000 Hz"),
        (wav_header(100, 1, 4) + bytes(4), UnsupportedAudioError, "100 Hz; allowed"),
        (wav_header(16_000, 9, 36) + bytes(36), UnsupportedAudioError, "9 channels; allowed: 1 to 8"),
        (wav_header(16_000, 60_000, 4) + bytes(4), VoxtralError, "^The "),
        (wav_header(0, 0, 4) + bytes(4), VoxtralError, "^The "),
        (
            wav_header(16_000, 1, 4, tag=0x4F4F) + bytes(4),
            UnsupportedAudioError,
            "has no decoder for its audio; convert",
        ),
        (AC4, UnsupportedAudioError, "cannot be decoded: this build has no AC-4 decoder; convert it"),
        (b"fLaC\0\0\0\x22" + bytes(300), InvalidAudioError, "^The "),
        (b"OggS\0\x02" + bytes(300), InvalidAudioError, "^The "),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(300), InvalidAudioError, "^The "),
        (b"\0\0\0\x14ftypM4A \0\0\0\0mp42", InvalidAudioError, "no index .moov., which is required"),
        (b"ID3\x04\0\0\0\0\0\0" + bytes(3000), UnsupportedAudioError, "of an unknown kind"),
    ],
)
def test_decode_file_refuses_with_a_clear_error(content: bytes, error: type[VoxtralError], message: str) -> None:
    with pytest.raises(error, match=message):
        list(decode_file(content))


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg-opus", "webm-opus", "m4a-aac"])
def test_decode_file_limits_the_duration(kind: str) -> None:
    assert_tone(samples_of(decode_file(made(kind), max_duration_s=2.0)), over_s=0.03)
    with pytest.raises(AudioTooLongError, match=r"longer than 1\.5 s"):
        list(decode_file(made(kind), max_duration_s=1.5))


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "ogg-opus", "ogg-flac", "webm-opus", "m4a-aac", "m4a-alac"])
def test_decode_file_survives_damage(kind: str) -> None:
    """Random damage, mostly in the headers: samples or one of our errors, never anything else."""
    generator = random.Random(kind)
    whole = made(kind, 0.5)
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(generator.choice([1, 3, 20])):
            at = generator.randrange(generator.choice([64, 600, len(content)])) % len(content)
            content[at : at + generator.choice([0, 1, 1, 5])] = generator.randbytes(generator.choice([1, 1, 3]))
        try:
            for _ in decode_file(bytes(content), max_duration_s=10):
                pass
        except VoxtralError:
            pass


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([None, "pcm_s16le", "pcm_f32le", "pcmu", "pcma"]))
def test_decode_raw_takes_any_bytes(payload: bytes, encoding: str | None) -> None:
    try:
        list(decode_raw(payload, encoding, 8_000))
    except VoxtralError as error:
        assert error.code == "invalid_audio"  # noqa: PT017 (a payload may also be fine)


def test_decode_raw_keeps_tone_and_length() -> None:
    samples = tone(16_000, 2.0)[0]
    s16le = (samples * 32_767).astype("<i2").tobytes()
    assert_tone(samples_of(decode_raw(s16le, None)))
    assert_tone(samples_of(decode_raw(s16le, "pcm_s16le")))
    assert_tone(samples_of(decode_raw(samples.astype("<f4").tobytes(), None)))
    stereo = np.repeat(tone(48_000, 2.0)[0], 2).astype("<f4").tobytes()
    assert_tone(samples_of(decode_raw(stereo, "pcm_f32le", 48_000, 2)))
    assert is_file(made("wav"))
    assert not is_file(s16le)


def test_decode_raw_refuses_what_is_wrong() -> None:
    with pytest.raises(InvalidAudioError, match="The audio is empty"):
        list(decode_raw(b"", None))
    with pytest.raises(InvalidFieldError, match="encoding is 'wav'"):
        list(decode_raw(bytes(32), "wav"))
    with pytest.raises(AudioTooLongError, match="longer than 1 s"):
        next(decode_raw(bytes(16_002), "pcm_s16le", 8_000, max_duration_s=1))
    assert len(b"".join(decode_raw(bytes(16_000), "pcm_s16le", 8_000, max_duration_s=1))) == 32_000


def test_decode_file_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        second = (noise(1.0) * 32_767).astype("<i2").tobytes()
        for _ in range(300):
            file.writeframes(second)
    blocks = decode_file(path)
    next(blocks)
    tracemalloc.start()
    count = sum(1 for _ in blocks)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 299
    assert peak_bytes < 1_000_000, "9.6 MB would be held if it were decoded as a whole"


def test_decode_file_can_be_left_half_way(tmp_path: Path) -> None:
    blocks = decode_file(made("flac", 3.0))
    assert len(next(blocks)) == BLOCK_BYTES
    blocks.close()  # type: ignore[attr-defined]
