"""Headers that announce gigabytes: rejected, or ignored, before a library uses them."""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from shared.audio.extent import tags_bytes
from shared.audio.files import decode_file
from shared.audio.mp4_tables import check_tables
from shared.errors import InvalidAudioError
from tests.unit.shared.audio.test_files import assert_tone, made, recorded, samples_of, video

MILLIONS = 80_000_000
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf")


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def rebuilt(file: bytes, new: dict[bytes, Callable[[bytes], bytes]]) -> bytes:
    """An MP4 file with the contents of some boxes replaced."""
    written, position = b"", 0
    while position + 8 <= len(file):
        size = int.from_bytes(file[position : position + 4], "big")
        name, content = file[position + 4 : position + 8], file[position + 8 : position + size]
        if name in new:
            content = new[name](content)
        elif name in CONTAINERS:
            content = rebuilt(content, new)
        written += box(name, content)
        position += size
    return written


def announcing(samples: int) -> bytes:
    """A small M4A whose tables announce so many samples of one byte."""
    return rebuilt(
        made("m4a-aac"),
        {
            b"stts": lambda _: struct.pack(">IIII", 0, 1, samples, 1024),
            b"stsz": lambda _: struct.pack(">III", 0, 1, samples),
            b"stsc": lambda _: struct.pack(">IIIII", 0, 1, 1, samples, 1),
            b"stco": lambda content: struct.pack(">II", 0, 1) + content[8:12],
        },
    )


def pointing_far(padding_bytes: int = 0) -> bytes:
    """A fragmented M4A whose fragment lies where no file has a place, and so many bytes of padding."""
    file = bytearray(recorded("mp4", "aac", movflags="empty_moov"))
    offset = file.index(b"tfhd") + 12  # after its version, its flags and its track
    file[offset : offset + 8] = struct.pack(">Q", 1 << 62)
    return bytes(file) + box(b"free", bytes(padding_bytes))


def seven_bits(size: int) -> bytes:
    """A size as ID3v2.4 writes it."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(content: bytes, flags: int = 0) -> bytes:
    return b"ID3\x04\0" + bytes([flags]) + seven_bits(len(content) - (10 if flags & 0x10 else 0)) + content


@cache
def compressed_frame(megabytes: int) -> bytes:
    """A text frame of ID3v2.4 that is compressed (flags 0x0009: deflated, with its length)."""
    packer = zlib.compressobj(9)
    packed = b"".join([packer.compress(b"\x03"), *(packer.compress(b"A" * 1_000_000) for _ in range(megabytes))])
    packed += packer.flush()
    return b"TIT2" + seven_bits(len(packed) + 4) + b"\0\x09" + seven_bits(megabytes * 1_000_000) + packed


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        (b"stsz", struct.pack(">III", 0, 1, MILLIONS), "announces 80000000 samples; the file has"),
        (b"stsz", struct.pack(">III", 0, 0, MILLIONS), "table stsz announces 80000000 entries; its 12 bytes"),
        (b"stz2", struct.pack(">III", 0, 8, MILLIONS), "table stz2 announces"),
        (b"stts", struct.pack(">II", 0, MILLIONS), "table stts announces 80000000 entries; its 8 bytes"),
        (b"stts", struct.pack(">IIIII", 0, 2, 1, 1, MILLIONS) + bytes(4), "announces 80000001 samples"),
        (b"ctts", struct.pack(">IIII", 0, 1, MILLIONS, 0), "announces 80000000 samples"),
        (b"stsc", struct.pack(">II", 0, MILLIONS), "table stsc announces"),
        (b"stco", struct.pack(">II", 0, MILLIONS), "table stco announces"),
        (b"co64", struct.pack(">II", 0, MILLIONS), "table co64 announces"),
        (b"stss", struct.pack(">II", 0, MILLIONS), "table stss announces"),
        (b"elst", struct.pack(">II", 0, MILLIONS), "table elst announces"),
        (b"elst", struct.pack(">II", 1 << 24, 2) + bytes(24), "table elst announces 2 entries; its 32 bytes"),
        (b"trun", struct.pack(">II", 0x200, MILLIONS), "table trun announces"),
        (b"trun", struct.pack(">II", 0, MILLIONS), "announces 80000000 samples"),
        (b"cmov", b"", "compressed"),
    ],
)
def test_check_tables_refuses_what_cannot_be_true(table: bytes, content: bytes, message: str) -> None:
    nested = box(b"moov", box(b"trak", box(b"mdia", box(table, content))))
    for file in (nested, struct.pack(">I4sQ", 1, b"moov", 16 + len(nested)) + nested, box(b"free", b"") + nested):
        with pytest.raises(InvalidAudioError, match=message):
            check_tables(io.BytesIO(file))


def test_check_tables_takes_what_is_true() -> None:
    for file in (
        made("m4a-aac"),
        made("m4a-alac", channels=8),
        recorded("mp4", "aac", movflags="empty_moov"),
        video(with_audio=True),
    ):
        source = io.BytesIO(file)
        check_tables(source)
        assert source.tell() == 0


@pytest.mark.parametrize("size", [0, 2, 7, 8, 9, 0xFFFFFFFF])
def test_check_tables_takes_boxes_of_any_size(size: int) -> None:
    for name in (b"moov", b"free", b"stsz"):
        check_tables(io.BytesIO(box(b"moov", struct.pack(">I", size) + name)))


def test_check_tables_walks_so_many_boxes_at_most() -> None:
    with pytest.raises(InvalidAudioError, match="more than 1000000 boxes"):
        check_tables(io.BytesIO(box(b"moov", b"") * 1_000_001))


def test_decode_file_refuses_an_index_that_cannot_be_true() -> None:
    with pytest.raises(InvalidAudioError, match="80000000"):
        list(decode_file(announcing(MILLIONS)))


@pytest.mark.parametrize("offset", [1 << 62, (1 << 63) - 1, -1])
def test_decode_file_takes_a_place_that_no_file_has_for_damage(offset: int, tmp_path: Path) -> None:
    """In memory any place can be sought; of a file on a disk the system refuses it."""
    file = bytearray(pointing_far())
    start = file.index(b"tfhd") + 12
    file[start : start + 8] = struct.pack(">q", offset)
    (tmp_path / "far.m4a").write_bytes(file)
    for source in (bytes(file), tmp_path / "far.m4a"):
        with contextlib.suppress(InvalidAudioError):  # where nothing is left of it
            list(decode_file(source))


@pytest.mark.parametrize(
    "tags",
    [
        id3(compressed_frame(30)),
        id3(compressed_frame(1)) + id3(compressed_frame(1)),
        id3(compressed_frame(1) + b"3DI\x04\0\x10" + bytes(4), flags=0x10),
    ],
    ids=["one", "two", "with a footer"],
)
def test_decode_file_passes_over_tags(tags: bytes) -> None:
    mp3 = made("mp3")
    bare = mp3[tags_bytes(io.BytesIO(mp3)) :]
    assert tags_bytes(io.BytesIO(tags + bare)) == len(tags)
    assert_tone(samples_of(decode_file(tags + bare)), over_s=0.06)


def test_decode_file_refuses_very_many_tags() -> None:
    with pytest.raises(InvalidAudioError, match="begins with 64 ID3 tags or more"):
        list(decode_file(id3(b"") * 65 + made("mp3")))
