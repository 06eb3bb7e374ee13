"""Damaged recordings: what is there is decoded, and a warning says what is missing and where; `strict` rejects them."""

import io
import random
import re
import struct
import wave
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from shared.audio.damage import CUT_SHORT, DAMAGED, MAX_WARNINGS, AudioWarning
from shared.audio.files import decode_file
from shared.audio.payload import decode_raw
from shared.errors import InvalidAudioError
from tests.containers import WRITABLE, written
from tests.unit.shared.audio.test_files import KINDS, made, mux, recorded, samples_of, tone, wav_header

SMALL_ID3 = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)
BIG_ID3 = b"ID3\x04\0\0\0\x01\0\0" + random.Random(2).randbytes(1 << 14)
APE = struct.pack("<8s4I8x500x", b"APETAGEX", 2000, 532, 1, 0xA0000000) + b"APETAGEX" + bytes(24)
NOISE = random.Random(1).randbytes(1000)


def heard(content: bytes) -> tuple[float, list[AudioWarning]]:
    """Seconds that were decoded, and the warnings. The tone must be in them."""
    warnings: list[AudioWarning] = []
    samples = samples_of(decode_file(content, warn=warnings.append))
    assert 0.25 < np.sqrt(np.mean(samples**2)) < 0.4
    return len(samples) / 16_000, warnings


def assert_strict_refuses(content: bytes) -> None:
    with pytest.raises(InvalidAudioError, match=r"It is rejected because strict is true\.$"):
        list(decode_file(content, strict=True))


@cache
def index_first() -> bytes:
    sink = io.BytesIO()
    mux(sink, "mp4", "aac", tone(48_000, 2.0), 48_000, movflags="empty_moov+default_base_moof", frag_duration="200000")
    return sink.getvalue()


def two_thirds(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


CUT: dict[str, Callable[[], bytes]] = {
    **{kind: lambda kind=kind: made(kind) for kind in KINDS if not kind.startswith("m4a")},  # type: ignore[misc]
    **{
        kind: lambda kind=kind: written(kind, 1, 2.0)  # type: ignore[misc]
        for kind in ("aiff", "au", "caf", "w64", "avi-pcm", "mkv-ac3", "wav-adpcm")
    },
    "mp4": index_first,
}


@pytest.mark.parametrize("kind", CUT)
def test_end_that_is_missing_costs_the_end(kind: str) -> None:
    content = CUT[kind]()
    whole_s, none = heard(content)
    assert none == []
    cut = two_thirds(content)
    duration_s, warnings = heard(cut)
    assert 0.4 * whole_s < duration_s < 0.75 * whole_s
    assert [warning.code for warning in warnings] == [CUT_SHORT]
    (warning,) = warnings
    assert warning.start_s == pytest.approx(duration_s, abs=0.03)
    assert re.search(rf"is cut short: .* announce.*; its audio ends at {warning.start_s:.2f} s\.$", warning.message)
    assert_strict_refuses(cut)


@pytest.mark.parametrize("kind", ["adts", "mpegts-mp2", "mpeg-mp2", "ac3", "flv-mp3", "amr"])
def test_kinds_that_announce_nothing_are_decoded_as_far_as_they_go(kind: str) -> None:
    content = written(kind, 1, 2.0)
    assert content is not None
    assert 1.0 < heard(two_thirds(content))[0] < 1.5


def test_warning_states_both_sizes() -> None:
    content = made("wav")
    _, (warning,) = heard(content[:-500])
    sizes = f"its headers announce {len(content)} bytes, {len(content) - 500} are there"
    assert warning.message == f"The WAV file is cut short: {sizes}; its audio ends at 1.99 s."
    assert warning.wire() == {"code": CUT_SHORT, "message": warning.message, "start": 1.994}


@pytest.mark.parametrize("tag", [SMALL_ID3, BIG_ID3, APE, b"TAG" + bytes(125), APE + b"TAG" + bytes(125) + BIG_ID3])
def test_tags_between_recordings_that_are_joined_are_no_damage(tag: bytes) -> None:
    content = made("mp3")
    duration_s, warnings = heard(content + tag + content)
    assert warnings == []
    assert duration_s == pytest.approx(2 * heard(content)[0], abs=0.1)
    list(decode_file(content + tag + content, strict=True))


@pytest.mark.parametrize("kind", [*KINDS, "aiff", "au", "caf", "w64", "amr", "adts", "ac3", "avi-mp3", "wma"])
@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"\r\n", bytes(1000)], ids=["ID3v1", "CRLF", "padding"])
def test_bytes_behind_the_end_are_no_damage(kind: str, tail: bytes) -> None:
    if tail == bytes(1000) and kind in ("au", "amr", "ac3", "adts"):
        return  # they are read to the end of the file: zeros are audio, or junk
    content = made(kind) if kind in KINDS else written(kind, 1, 1.0)
    assert content is not None
    whole_s, _ = heard(content)
    duration_s, warnings = heard(content + tail)
    assert duration_s == pytest.approx(whole_s, abs=0.07)
    assert warnings == []
    list(decode_file(content + tail, strict=True))


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg-opus", "webm-opus", "m4a-aac", *WRITABLE])
def test_tags_before_any_kind_are_skipped(kind: str) -> None:
    content = made(kind) if kind in KINDS else written(kind)
    assert content is not None
    assert heard(SMALL_ID3 + content)[0] == heard(content)[0]


@pytest.mark.parametrize("kind", ["mp3", "adts", "mp2", "ac3", "mpegts-mp2"])
def test_recording_may_begin_in_the_middle_of_a_frame(kind: str) -> None:
    content = made("mp3") if kind == "mp3" else written(kind, 1, 2.0)
    assert content is not None
    assert heard(content[777:])[0] == pytest.approx(1.93, abs=0.15)


def test_rate_and_channels_may_change() -> None:
    parts = made("mp3"), made("mp3-16k"), made("mp3", channels=2)
    assert heard(b"".join(parts))[0] == pytest.approx(6.1, abs=0.15)
    chained = made("ogg-flac") + made("ogg-flac", channels=2)
    assert heard(chained)[0] == pytest.approx(4, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "lost_s"), [("mp3", 0.4), ("flac", 0.11), ("ogg-opus", 1.1), ("ogg-flac", 2.2), ("m4a-aac", 0.1)]
)
def test_damage_in_the_middle_costs_that_part(kind: str, lost_s: float) -> None:
    content = made(kind, 6.0)
    at = len(content) // 2
    damaged = content[:at] + NOISE[:300] + content[at + 300 :]
    if kind == "flac":  # whose decoder makes something of any bits
        damaged = content[:at] + content[at + 1400 :]
    duration_s, warnings = heard(damaged)
    assert 6.05 - lost_s < duration_s + 0.1
    assert duration_s < 6.1
    assert [warning.code for warning in warnings] == [DAMAGED]
    assert warnings[0].start_s == pytest.approx(3, abs=0.35)
    assert "is damaged at" in warnings[0].message
    assert_strict_refuses(damaged)


def test_webm_that_loses_a_cluster_says_where() -> None:
    content = made("webm-opus", 6.0)
    at = len(content) // 2
    duration_s, (warning,) = heard(content[:at] + NOISE[:300] + content[at + 300 :])
    assert 2.5 < duration_s < 6
    assert (warning.code, warning.start_s) == (DAMAGED, pytest.approx(3, abs=0.3))
    assert re.search(r"s of audio are missing there; it announces 6\.0\d s of audio\.$", warning.message)


def test_very_damaged_file_gives_so_many_warnings_at_most() -> None:
    content = bytearray(made("ogg-opus", 30.0))
    for start in range(10_000, len(content), 25_000):
        content[start : start + 50] = NOISE[:50]
    warnings: list[AudioWarning] = []
    list(decode_file(bytes(content), warn=warnings.append))
    assert 5 < len(warnings) <= MAX_WARNINGS


@pytest.mark.parametrize(("channels", "extra"), [(1, 1), (2, 1), (2, 3)])
def test_incomplete_sample_in_a_wav_is_dropped(channels: int, extra: int) -> None:
    frames = np.repeat((tone(16_000, 1.0)[0] * 32_767).astype("<i2"), channels).tobytes()
    content = wav_header(16_000, channels, len(frames) + extra) + frames + bytes(extra)
    duration_s, (warning,) = heard(content)
    assert duration_s == 1
    counted = "1 byte" if extra == 1 else f"{extra} bytes"
    assert warning == AudioWarning(
        CUT_SHORT, f"The WAV file ends with {counted} of an incomplete sample, which is dropped.", 1.0
    )
    assert_strict_refuses(content)


@pytest.mark.parametrize(("encoding", "extra"), [(None, 1), ("pcm_s16le", 1), ("pcm_f32le", 2), ("pcm_f32le", 3)])
def test_incomplete_sample_in_raw_audio_is_dropped(encoding: str | None, extra: int) -> None:
    samples = tone(16_000, 1.0)[0]
    raw = samples.astype("<f4").tobytes() if encoding == "pcm_f32le" else (samples * 32_767).astype("<i2").tobytes()
    warnings: list[AudioWarning] = []
    whole = b"".join(decode_raw(raw, encoding))
    assert b"".join(decode_raw(raw + bytes(extra), encoding, warn=warnings.append)) == whole
    assert [(warning.code, warning.start_s) for warning in warnings] == [(CUT_SHORT, 1.0)]
    assert re.match(r"The audio ends with \d bytes? of an incomplete sample", warnings[0].message)
    with pytest.raises(InvalidAudioError, match="strict is true"):
        list(decode_raw(raw + bytes(extra), encoding, strict=True))


def test_numbers_that_are_not_finite_are_silence() -> None:
    samples = tone(16_000, 1.0)[0].copy()
    samples[8000:8010] = np.nan
    samples[9000] = np.inf
    chunks = b"fmt " + struct.pack("<IHHIIHH", 16, 3, 1, 16_000, 64_000, 4, 32)
    chunks += b"data" + struct.pack("<I", 64_000) + samples.astype("<f4").tobytes()
    content = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
    duration_s, (warning,) = heard(content)
    assert duration_s == 1
    assert warning.code == DAMAGED
    assert warning.message == "The WAV file holds 11 samples that are not finite numbers; they become silence."


@pytest.mark.parametrize("form", [b"RIFX", b"RF64", b"BW64"])
def test_other_forms_of_wav_are_decoded_and_measured(form: bytes) -> None:
    order = ">" if form == b"RIFX" else "<"
    samples = (tone(16_000, 1.0)[0] * 32_767).astype(f"{order}i2").tobytes()
    sizes = b"" if form == b"RIFX" else b"ds64" + struct.pack("<IQQQI", 28, 0, len(samples), 16_000, 0)
    fmt = b"fmt " + struct.pack(f"{order}IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    stated = len(samples) if form == b"RIFX" else 0xFFFF_FFFF
    head = form + struct.pack(f"{order}I", 0xFFFF_FFFF) + b"WAVE" + sizes + fmt + b"data"
    content = head + struct.pack(f"{order}I", stated) + samples
    assert heard(content) == (1, [])
    assert [warning.code for warning in heard(content[:-8000])[1]] == [CUT_SHORT]


def test_mp4_without_its_index_holds_no_audio() -> None:
    with pytest.raises(InvalidAudioError, match=r"has no index \(moov\), which is required to read its audio"):
        list(decode_file(two_thirds(made("m4a-aac"))))
    assert heard(recorded("mp4", "aac", movflags="empty_moov"))[1] == []


def test_file_of_nothing_but_damage_is_an_error() -> None:
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    with pytest.raises(InvalidAudioError, match="The WAV file holds no samples"):
        list(decode_file(sink.getvalue()))
