"""Raw formats: any cut gives the same samples, G.711 by its published values, and every refusal says what is wrong."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.audio.guess import guess_raw
from shared.audio.pcm import SAMPLE_BYTES, AudioFormat, PcmDecoder, to_s16le
from shared.audio.stream import PcmStream
from shared.errors import InvalidAudioError, InvalidFieldError
from tests.speech import noise

ENCODINGS = st.sampled_from(sorted(SAMPLE_BYTES))
RATES = st.sampled_from([8_000, 11_025, 12_345, 16_000, 22_050, 44_100, 48_000, 96_000])
FORMATS = st.builds(AudioFormat, ENCODINGS, RATES, st.integers(1, 2))
CUTS = st.lists(st.integers(1, 900), min_size=1, max_size=12)


def cut(content: bytes, sizes: list[int]) -> list[bytes]:
    """The content in pieces of these sizes, over and over."""
    pieces, start, turn = [], 0, 0
    while start < len(content):
        pieces.append(content[start : start + sizes[turn % len(sizes)]])
        start += sizes[turn % len(sizes)]
        turn += 1
    return pieces


def streamed(audio_format: AudioFormat, pieces: list[bytes]) -> bytes:
    stream = PcmStream(audio_format)
    return b"".join([stream.feed(piece) for piece in pieces] + [stream.finish()])


def raw_audio(encoding: str, channels: int, samples: int, seed: int) -> bytes:
    generator = np.random.default_rng(seed)
    if encoding.startswith("pcm_f"):
        dtype = {"pcm_f16le": "<f2", "pcm_f32le": "<f4", "pcm_f64le": "<f8"}[encoding]
        return generator.uniform(-1.3, 1.3, samples * channels).astype(dtype).tobytes()
    return generator.integers(0, 256, samples * channels * SAMPLE_BYTES[encoding], dtype=np.uint8).tobytes()


@settings(deadline=None)
@given(FORMATS, st.integers(0, 1200), st.integers(0, 99), CUTS)
def test_pcm_stream_result_does_not_depend_on_chunks(
    audio_format: AudioFormat, samples: int, seed: int, sizes: list[int]
) -> None:
    content = raw_audio(audio_format.encoding, audio_format.channels, samples, seed)
    whole = streamed(audio_format, [content])
    assert streamed(audio_format, cut(content, sizes)) == whole
    assert len(whole) % 2 == 0
    assert abs(len(whole) / 2 - samples * 16_000 / audio_format.sample_rate) <= 1


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("encoding", sorted(SAMPLE_BYTES))
def test_pcm_stream_takes_single_bytes(encoding: str, rate: int) -> None:
    audio_format = AudioFormat(encoding, rate, 2)
    content = raw_audio(encoding, 2, 500, 1)
    assert streamed(audio_format, cut(content, [1])) == streamed(audio_format, [content])


@settings(deadline=None)
@given(st.binary(max_size=400).filter(lambda content: len(content) % 2 == 0))
def test_pcm_stream_passes_s16le_mono_16k_unchanged(content: bytes) -> None:
    assert streamed(AudioFormat(), cut(content, [3])) == content


def test_pcm_stream_takes_no_audio_at_all() -> None:
    assert streamed(AudioFormat("pcmu", 8_000), []) == b""
    assert streamed(AudioFormat("pcmu", 8_000), [b"", b""]) == b""


def test_pcm_decoder_mixes_stereo_to_the_mean() -> None:
    frames = struct.pack("<6h", 100, 300, -32768, -32768, 32767, -32768)
    samples = PcmDecoder(AudioFormat(channels=2)).feed(frames)
    assert (samples * 32768).tolist() == [200.0, -32768.0, -0.5]


def test_to_s16le_rounds_and_clips() -> None:
    values = np.array([1.0, -1.0, 0.5, 1.4 / 32768, 1.6 / 32768, 1.5, -1.5], np.float32)
    assert struct.unpack("<7h", to_s16le(values)) == (32767, -32768, 16384, 1, 2, 32767, -32768)


def test_pcm_decoder_reads_wide_integers_and_half_floats() -> None:
    integers = PcmDecoder(AudioFormat("pcm_s32le")).feed(struct.pack("<4i", -(2**31), 2**30, 0, 2**31 - 1))
    assert integers.tolist() == [-1.0, 0.5, 0.0, 1.0]
    halves = PcmDecoder(AudioFormat("pcm_f16le")).feed(struct.pack("<4e", -1.0, 0.5, 0.0, 1.5))
    assert halves.tolist() == [-1.0, 0.5, 0.0, 1.0]


def test_pcm_decoder_clips_floats_beyond_full_scale() -> None:
    samples = PcmDecoder(AudioFormat("pcm_f32le")).feed(struct.pack("<3f", 7.0, -1.01, 0.25))
    assert samples.tolist() == [1.0, -1.0, 0.25]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_pcm_decoder_names_the_sample_that_is_not_finite(value: float) -> None:
    decoder = PcmDecoder(AudioFormat("pcm_f32le", 16_000, 2))
    decoder.feed(struct.pack("<6f", *[0.1] * 6))
    with pytest.raises(InvalidAudioError, match=rf"^Sample 4 is {value}; .* finite"):
        decoder.feed(struct.pack("<4f", 0, 0, 0, value))


@pytest.mark.parametrize(
    ("audio_format", "left"),
    [(AudioFormat(), 1), (AudioFormat(channels=2), 3), (AudioFormat("pcm_f32le", 48_000, 2), 7)],
)
def test_pcm_stream_refuses_an_incomplete_last_sample(audio_format: AudioFormat, left: int) -> None:
    stream = PcmStream(audio_format)
    stream.feed(bytes(audio_format.frame_bytes + left))
    with pytest.raises(InvalidAudioError, match=f"ends with {left} bytes of an incomplete sample") as caught:
        stream.check_whole()
    assert caught.value.code == "invalid_audio"


@pytest.mark.parametrize(
    ("encoding", "rate", "channels", "message"),
    [
        (
            "mp3",
            16_000,
            1,
            f"encoding is 'mp3'; allowed: {', '.join(SAMPLE_BYTES)}.",
        ),
        ("pcmu", 5_999, 1, "sample_rate is 5999; allowed: a whole number from 6000 to 384000 (Hz)."),
        ("pcmu", 384_001, 1, "sample_rate is 384001; allowed: a whole number from 6000 to 384000 (Hz)."),
        ("pcmu", True, 1, "sample_rate is True; allowed: a whole number from 6000 to 384000 (Hz)."),
        ("pcmu", 8_000, 3, "channels is 3; allowed: 1, 2; also 3, 4 if they are transcribed separately."),
        ("pcmu", 8_000, 0, "channels is 0; allowed: 1, 2; also 3, 4 if they are transcribed separately."),
    ],
)
def test_audio_format_names_value_and_allowed(encoding: str, rate: int, channels: int, message: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        AudioFormat(encoding, rate, channels)
    assert str(caught.value) == message


def decoded(encoding: str) -> list[int]:
    values = PcmDecoder(AudioFormat(encoding, 8_000)).feed(bytes(range(256)))
    return (values * 32768).astype(int).tolist()


def test_mulaw_matches_g711_decision_values() -> None:
    # ITU-T G.711, tables 2a and 2b: decoder output values y(n) on the 14-bit scale, here ×4; code 0xFF is +0.
    values = decoded("pcmu")
    known = {0x80: 8031, 0x00: -8031, 0x8F: 4191, 0x9F: 2079, 0xEF: 33, 0xFE: 2, 0xFF: 0, 0x7F: 0}
    assert {code: values[code] / 4 for code in known} == known
    # Independent: the sign and the biased mantissa as a number, 33 + 2m shifted by the chord, minus the bias.
    for code in range(256):
        chord, mantissa = 7 - (code >> 4 & 7), 15 - (code & 15)
        magnitude = (33 + 2 * mantissa) * 2**chord - 33
        assert values[code] == 4 * (magnitude if code & 0x80 else -magnitude)


def test_alaw_matches_g711_decision_values() -> None:
    # ITU-T G.711, tables 1a and 1b: decoder output values on the 13-bit scale, here ×8; even bits are inverted.
    values = decoded("pcma")
    known = {0xAA: 4032, 0x2A: -4032, 0xD5: 1, 0x55: -1}
    assert {code: values[code] / 8 for code in known} == known
    for code in range(256):
        plain = code ^ 0x55
        chord, mantissa = plain >> 4 & 7, plain & 15
        magnitude = 2 * mantissa + 1 if chord == 0 else (2 * mantissa + 33) * 2 ** (chord - 1)
        assert values[code] == 8 * (magnitude if plain & 0x80 else -magnitude)


def as_s16le(samples: NDArray[Any]) -> bytes:
    return to_s16le(samples.astype(np.float32))


@pytest.mark.parametrize("level", [1e-5, 3e-5, 1e-4, 1e-3, 0.05, 0.3])
def test_guess_raw_tells_noise_apart_at_any_level(level: float) -> None:
    samples = noise(0.5, level)
    assert guess_raw(as_s16le(samples)) == "pcm_s16le"
    assert guess_raw(samples.astype("<f4").tobytes()) == "pcm_f32le"


def test_guess_raw_takes_quiet_s16le_that_reads_as_tiny_floats_as_s16le() -> None:
    dither = np.random.default_rng(0).integers(0, 2, 8000).astype("<i2").tobytes()
    offset = as_s16le(0.01 + noise(0.5, 1e-3))
    one_channel = np.zeros((8000, 2), "<i2")
    one_channel[:, 0] = noise(0.5, 0.1) * 32767
    for payload in (dither, offset, one_channel.tobytes(), bytes(8000)):
        floats = np.frombuffer(payload, "<f4")
        assert (np.abs(floats) <= 1).all(), "the plain rule would take this for floats"
        assert guess_raw(payload) == "pcm_s16le"


def test_guess_raw_takes_floats_after_silence_and_refuses_what_floats_cannot_be() -> None:
    floats = np.concatenate([np.zeros(600_000), noise(0.1, 1e-4)]).astype("<f4")
    assert guess_raw(floats.tobytes()) == "pcm_f32le"
    assert guess_raw(floats.tobytes() + b"\0\0") == "pcm_s16le"
    assert guess_raw(np.append(floats, np.float32(1.01)).tobytes()) == "pcm_s16le"
    assert guess_raw(np.append(floats, np.float32(np.nan)).tobytes()) == "pcm_s16le"
    assert guess_raw(b"") == "pcm_s16le"
