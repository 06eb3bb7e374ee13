"""Recordings in processes of their own: every kind of file, and what is bounded."""

import io
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from frontend.decoding.decoders import Decoders
from shared.audio.damage import AudioWarning
from shared.decoder.sandbox import MEMORY_BYTES, probe
from shared.errors import AudioTooLongError, InvalidAudioError, UnsupportedAudioError
from tests.containers import DURATION_S, WRITABLE, written
from tests.integration.decoding import (
    begun,
    cpu_s,
    decoded,
    decoders_of,
    eventually,
    is_gone,
    long_wav,
    open_files,
    server_of,
    told,
)
from tests.unit.shared.audio.test_files import KINDS, channels_of, made, samples_of
from tests.unit.shared.audio.test_tables import MILLIONS, announcing, box, compressed_frame, id3, rebuilt

pytestmark = pytest.mark.asyncio(loop_scope="module")
MEBIBYTE = 1 << 20
REFERENCES = {
    "M3U": b"#EXTM3U\n#EXTINF:2,\nfile://PATH\n",
    "HLS": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nPATH\n#EXT-X-ENDLIST\n",
    "HLS with a data URL": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ndata:audio/wav;base64,UklGRg==\n",
    "concat": b"ffconcat version 1.0\nfile 'PATH'\n",
    "SDP": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "DASH": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>PATH</BaseURL></MPD>',
    "IMF": b'<?xml version="1.0"?><CompositionPlaylist><Path>PATH</Path></CompositionPlaylist>',
    "ASX": b'<asx version="3.0"><entry><ref href="file://PATH"/></entry></asx>',
    "PLS": b"[playlist]\nFile1=PATH\nNumberOfEntries=1\n",
    "ffmetadata": b";FFMETADATA1\ntitle=PATH\n",
    "tones": b"-SE\nNowTime: 440/50\n",
    "VobSub": b"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n",
    "MOV": rebuilt(
        made("m4a-aac"), {b"dinf": lambda _: box(b"dref", bytes(7) + b"\1" + box(b"url ", bytes(4) + b"file://PATH\0"))}
    ),
}
"""Files that name others, with PATH for one that is there."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoders() -> AsyncIterator[Decoders]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", "redis://:secret@localhost")
        async with Decoders.running(4, patience_s=10) as decoders:
            await server_of(decoders)
            yield decoders


@pytest.mark.parametrize("kind", KINDS)
async def test_recording_of_any_kind_and_any_number_of_channels_is_decoded(decoders: Decoders, kind: str) -> None:
    for channels in channels_of(kind):
        samples = samples_of(iter([await decoded(decoders, made(kind, 0.5, channels))]))
        assert len(samples) / 16_000 == pytest.approx(0.5, abs=0.06), channels
        # Some encoders for AAC filter the tone out of the channel of a subwoofer.
        assert 0.28 < np.sqrt(np.mean(samples[1000:-1000] ** 2)) < 0.36, channels


@pytest.mark.parametrize("kind", WRITABLE)
async def test_every_container_that_can_be_written_is_decoded(decoders: Decoders, kind: str) -> None:
    counts = []
    for channels in range(1, 9):
        if (recording := written(kind, channels)) is not None:
            warnings: list[AudioWarning] = []
            samples = samples_of(iter([await decoded(decoders, recording, warnings=warnings)]))
            assert len(samples) / 16_000 == pytest.approx(DURATION_S, abs=0.07), channels
            assert 0.27 < np.sqrt(np.mean(samples[1500:4500] ** 2)) < 0.37, channels
            if not kind.startswith("flv"):  # whose muxer writes no configuration for more than two channels
                assert warnings == []
            counts.append(channels)
    assert 1 in counts


async def test_warnings_come_with_the_audio_and_strict_refuses(decoders: Decoders) -> None:
    recording = made("wav")[:-4000]
    warnings: list[AudioWarning] = []
    assert len(await decoded(decoders, recording, warnings=warnings)) == pytest.approx(62_548, abs=2)
    assert [(warning.code, warning.start_s) for warning in warnings] == [("audio_cut_short", 1.955)]
    with pytest.raises(InvalidAudioError, match=r"is cut short: .* It is rejected because strict is true\."):
        await decoded(decoders, recording, strict=True)
    assert await decoded(decoders, made("wav"), strict=True)


async def test_lists_of_channels_crash_no_decoder(decoders: Decoders) -> None:
    """PyAV 18.1.0 frees these twice; each was fatal within a few files."""
    for kind in ("caf", "aiff"):
        recording = written(kind, 8, 3.0)
        assert recording is not None
        for _ in range(3):
            assert len(await decoded(decoders, recording)) == 96_000


@pytest.mark.parametrize("name", REFERENCES)
async def test_nothing_else_is_opened_for_a_recording(decoders: Decoders, tmp_path: Path, name: str) -> None:
    """A sound file lies where the list points: no list is followed, with or without a tag before it."""
    (tmp_path / "tone.wav").write_bytes(made("wav"))
    content = REFERENCES[name].replace(b"PATH", str(tmp_path / "tone.wav").encode())
    for recording in (content, b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + content):
        with pytest.raises((UnsupportedAudioError, InvalidAudioError)):
            await decoded(decoders, recording)


async def test_file_of_any_sort_is_decoded(decoders: Decoders, tmp_path: Path) -> None:
    content = long_wav(40)
    (tmp_path / "a.wav").write_bytes(content)
    whole = await decoded(decoders, content)
    assert whole == content[44:]
    with tempfile.SpooledTemporaryFile(max_size=MEBIBYTE) as upload:
        upload.write(content)
        assert await decoded(decoders, upload) == whole  # type: ignore[arg-type]
    for size in (1000, None):
        with tempfile.SpooledTemporaryFile(max_size=10 * MEBIBYTE) as upload:
            upload.write(content[:size])
            if size is None:
                assert await decoded(decoders, upload) == whole  # type: ignore[arg-type]
    with (tmp_path / "a.wav").open("rb") as file:
        file.seek(1000)
        assert [block.fraction_read async for block in decoders.blocks(file)][-1] == 1.0
        assert await decoded(decoders, file) == whole


async def test_errors_are_those_of_the_file(decoders: Decoders) -> None:
    for content, error, message in (
        (b"", InvalidAudioError, "The audio is empty."),
        (b"hello, world " * 99, UnsupportedAudioError, "The file is text; send a recording, such as WAV, FLAC"),
        (made("flac")[:300], InvalidAudioError, "The FLAC file cannot be read"),
    ):
        with pytest.raises(error, match=message):
            await decoded(decoders, content)
    with pytest.raises(AudioTooLongError, match=r"longer than 1\.5 s"):
        await decoded(decoders, made("mp3"), max_duration_s=1.5)


async def test_memory_of_every_recording_is_bounded(decoders: Decoders) -> None:
    count = 30_000_000
    sparse = tempfile.TemporaryFile()  # noqa: SIM115
    with sparse:
        # Tables that the file could hold, so that the demuxer builds an index of about a gigabyte.
        index = announcing(10)
        index = rebuilt(index, {b"stsz": lambda _: np.array([0, 1, count], ">u4").tobytes()})
        index = rebuilt(index, {b"stts": lambda _: np.array([0, 1, count, 1024], ">u4").tobytes()})
        index = rebuilt(index, {b"stsc": lambda _: np.array([0, 1, 1, count, 1], ">u4").tobytes()})
        sparse.write(index + box(b"free", b"")[:4] + b"free")
        sparse.truncate(len(index) + 8 + count)
        sparse.seek(len(index))
        sparse.write((count + 8).to_bytes(4, "big"))
        with pytest.raises(InvalidAudioError):
            await decoded(decoders, sparse)  # type: ignore[arg-type]
    with pytest.raises(InvalidAudioError, match="announces 80000000 samples"):
        await decoded(decoders, announcing(MILLIONS))
    assert await decoded(decoders, id3(compressed_frame(100) * 8) + made("mp3")[10:])
    wav = made("wav")
    tag = id3(compressed_frame(100) * 8)
    at = wav.index(b"data")
    await decoded(decoders, wav[:at] + b"id3 " + len(tag).to_bytes(4, "little") + tag + bytes(len(tag) % 2) + wav[at:])
    assert decoders.peak_bytes < decoders.idle_bytes + 250 * MEBIBYTE
    assert MEMORY_BYTES < 250 * MEBIBYTE


async def test_decoder_waits_for_the_reader(decoders: Decoders) -> None:
    recording = long_wav()
    async with begun(decoders, recording) as blocks:
        (pid,) = decoders_of(decoders)
        used_s = -1.0
        while used_s != (used_s := cpu_s(pid)):
            await decoded(decoders, made("wav"))  # enough time for it to continue
        await anext(blocks)
        read_bytes = int(told(pid, "io").split()[1])
        assert read_bytes < len(recording) / 2
    await eventually(lambda: is_gone(pid))


async def test_decoder_has_no_other_file_open_and_no_secret(decoders: Decoders) -> None:
    async with begun(decoders, long_wav()):
        (pid,) = decoders_of(decoders)
        opened = open_files(pid)
        environment = told(pid, "environ")
    assert {name.partition(":")[0] for name in opened} == {"/dev/null", "pipe", "/memfd"}, opened
    assert b"REDIS_URL" not in environment


async def test_kernel_of_this_machine_is_used(decoders: Decoders) -> None:
    async with begun(decoders, long_wav()):
        (pid,) = decoders_of(decoders)
        status = told(pid, "status")
    assert b"NoNewPrivs:\t1" in status
    assert (b"Seccomp:\t2" in status) == probe().seccomp


async def test_bytes_in_memory_are_no_file_afterwards(decoders: Decoders) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await decoded(decoders, io.BytesIO(made("wav")))
        await decoded(decoders, made("wav"))
    assert len(os.listdir("/proc/self/fd")) <= before + 1
