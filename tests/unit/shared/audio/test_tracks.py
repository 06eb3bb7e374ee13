"""Channels that are kept apart: every way in gives each channel as its own track."""

import io
import wave
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.audio.damage import AudioWarning
from shared.audio.files import decode_file
from shared.audio.live import LiveAudio, UnsupportedStreamError
from shared.audio.live_container import LiveDecoding
from shared.audio.payload import decode_raw
from shared.audio.pcm import AudioFormat
from shared.audio.stream import PcmStream
from shared.audio.tracks import TRACKS_BLOCK_BYTES, Separation
from shared.errors import AudioTooLongError, InvalidAudioError, UnsupportedAudioError

SAMPLES = 2_400


def noise(channels: int, samples: int = SAMPLES) -> NDArray[np.int16]:
    return np.random.default_rng(channels).integers(-9000, 9000, (samples, channels)).astype("<i2")


def wav(frames: NDArray[np.int16], rate_hz: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(frames.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(frames.tobytes())
    return file.getvalue()


def tracks_of(pcm: bytes | Iterable[bytes], tracks: int) -> NDArray[np.int16]:
    content = pcm if isinstance(pcm, bytes) else b"".join(pcm)
    return np.frombuffer(content, "<i2").reshape(-1, tracks)


def alone(frames: NDArray[np.int16], channel: int, rate_hz: int) -> NDArray[np.int16]:
    """One channel, as it is converted without the others."""
    stream = PcmStream(AudioFormat("pcm_s16le", rate_hz))
    return np.frombuffer(stream.feed(frames[:, channel].tobytes()) + stream.finish(), "<i2")


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_live_channels_are_converted_like_mono(channels: int, rate_hz: int) -> None:
    frames = noise(channels)
    audio = LiveAudio(AudioFormat("pcm_s16le", rate_hz, channels, separate=True))
    found = tracks_of(audio.feed(frames.tobytes(), begins_message=True) + audio.finish(), channels)
    for channel in range(channels):
        assert np.array_equal(found[:, channel], alone(frames, channel, rate_hz))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.sampled_from([8_000, 16_000]))
def test_live_tracks_do_not_depend_on_where_the_bytes_are_cut(cuts: list[int], rate_hz: int) -> None:
    content, form = noise(3, 500).tobytes(), AudioFormat("pcm_s16le", rate_hz, 3, separate=True)
    whole, pieces = LiveAudio(form), LiveAudio(form)
    found, at = [], 0
    for cut in cuts:
        found.append(pieces.feed(content[at : at + cut]))
        assert not len(found[-1]) % 6, "whole frames"
        at += cut
    found += [pieces.feed(content[at:]), pieces.finish()]
    assert b"".join(found) == whole.feed(content) + whole.finish()


def test_live_audio_that_ends_within_a_frame_is_reported() -> None:
    audio = LiveAudio(AudioFormat(channels=2, separate=True))
    content = noise(2).tobytes()
    assert audio.feed(content + b"\1\2\3") + audio.finish() == content
    assert audio.take_warnings() == [
        ("incomplete_sample", "The audio ended within a sample; its 3 byte(s) were dropped.")
    ]


def test_wav_header_in_live_audio_may_have_fewer_channels() -> None:
    mono = noise(1)
    audio = LiveAudio(AudioFormat(channels=2, separate=True))
    found = tracks_of(audio.feed(wav(mono), begins_message=True) + audio.finish(), 2)
    assert np.array_equal(found[:, 0], mono[:, 0])
    assert not found[:, 1].any()
    with pytest.raises(UnsupportedStreamError, match=r"has 3 channels; allowed .*: 1 to 2"):
        LiveAudio(AudioFormat(channels=2, separate=True)).feed(wav(noise(3)), begins_message=True)
    with pytest.raises(UnsupportedStreamError, match="5 channels; live: 1 to 4"):
        LiveAudio(AudioFormat(channels=2, separate=True)).feed(wav(noise(5)), begins_message=True)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_recording_has_a_track_for_each_channel(channels: int) -> None:
    frames = noise(channels, 20_000)
    separation = Separation(most=4)
    blocks = list(decode_file(wav(frames), separation=separation))
    assert separation.found == channels
    assert np.array_equal(tracks_of(blocks, channels), frames)
    assert all(len(block) == TRACKS_BLOCK_BYTES for block in blocks[:-1])
    separation = Separation(most=4)
    raw = decode_raw(frames.tobytes(), "pcm_s16le", channels=channels, separation=separation)
    assert np.array_equal(tracks_of(raw, channels), frames)
    assert separation.found == channels


def test_recording_with_more_channels_than_allowed_is_rejected() -> None:
    with pytest.raises(UnsupportedAudioError, match=r"has 6 channels; allowed with channel_mode separate: 1 to 4"):
        list(decode_file(wav(noise(6)), separation=Separation(most=4)))


def test_duration_of_tracks_is_limited_like_that_of_mono() -> None:
    assert list(decode_file(wav(noise(4, 16_000)), separation=Separation(4), max_duration_s=1.0))
    with pytest.raises(AudioTooLongError):
        list(decode_file(wav(noise(4, 20_000)), separation=Separation(4), max_duration_s=1.0))


def test_raw_recording_that_ends_within_a_frame_is_cut_or_rejected() -> None:
    content = noise(2).tobytes()
    warnings: list[AudioWarning] = []
    found = decode_raw(content + b"\1\2", "pcm_s16le", channels=2, separation=Separation(4), warn=warnings.append)
    assert b"".join(found) == content
    assert "2 bytes of an incomplete sample" in warnings[0].message
    with pytest.raises(InvalidAudioError, match="incomplete sample"):
        list(decode_raw(content + b"\1\2", "pcm_s16le", channels=2, separation=Separation(4), strict=True))


@pytest.mark.parametrize(("channels", "tracks"), [(1, 2), (2, 2), (3, 4)])
def test_live_container_has_the_tracks_of_its_session(channels: int, tracks: int) -> None:
    frames = noise(channels, 20_000)
    messages, found = [wav(frames), b""], []
    LiveDecoding(lambda: messages.pop(0), lambda pcm, _: found.append(pcm), tracks=tracks).run()
    decoded = tracks_of(found, tracks)
    assert np.array_equal(decoded[:, :channels], frames)
    assert not decoded[:, channels:].any()


def test_live_container_with_more_channels_than_its_session_is_rejected() -> None:
    messages = [wav(noise(3)), b""]
    with pytest.raises(UnsupportedAudioError, match=r"has 3 channels; allowed .*: 1 to 2"):
        LiveDecoding(lambda: messages.pop(0), lambda _pcm, _: None, tracks=2).run()
