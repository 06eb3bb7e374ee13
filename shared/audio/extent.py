"""The length that a file declares in its headers, and its actual length.

Reads framing only, never samples. Everything here runs on untrusted bytes: no size that a file declares is allocated,
only compared or skipped.
"""

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, TypeAlias

from shared.audio.containers import id3_bytes
from shared.audio.mpeg_frames import mpeg_frame_bytes
from shared.audio.wav_header import UNKNOWN_SIZE_FROM
from shared.errors import InvalidAudioError

_MAX_PARTS: Final = 1_000_000
"""Most chunks, boxes or pages that are read (about 2 s): Ogg with a page per 20 ms reaches this after 5.5 hours."""
_MAX_TAGS: Final = 64
_ID3V1_BYTES: Final = 128
_PCM_TAGS: Final = (1, 3, 6, 7, 0xFFFE)
"""Format tags of WAV: integers, floats, A-law, µ-law, and "extensible"."""
_LARGEST_BYTES: Final = 1 << 48
_ASF_HEAD_BYTES: Final = 4096
_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_BOX_NAME: Final = re.compile(rb"[\x20-\x7e\xa9]{4}")


@dataclass(frozen=True, slots=True)
class Extent:
    size_bytes: int
    """Actual size."""
    end_bytes: int
    """Where it should end by its headers; `size_bytes` if they do not declare it."""
    loose_bytes: int = 0
    """Bytes of an incomplete sample at the end."""


@dataclass(frozen=True, slots=True)
class RawPart:
    """Samples without a header of their own: a format tag of WAV, and where they begin and end in the file."""

    tag: int
    channels: int
    rate_hz: int
    bits: int
    begin: int
    end: int


Walk: TypeAlias = Callable[[BinaryIO, int, int], Extent]
"""Takes the file, its size and its start."""


def extent_of(source: BinaryIO, kind: str | None, start_bytes: int = 0) -> Extent:
    """The extent of a file whose tags take `start_bytes`; leaves `source` at its start.

    - WAV: the size of the data chunk. 0 and the "unknown" sizes of streaming writers mean: until the end.
    - MP4: every top-level box, up to bytes that are not a box (tags, padding).
    - WebM: the size of the segment, if it is known (recorders in browsers leave it open).
    - Ogg: every page; a missing end-of-stream mark is not damage, since live recordings lack it.
    - MP3: the byte count of the Xing/Info header, if there is one.
    - AIFF, AU, AVI, CAF, W64, WMA: the size in their header, if it is known.

    Raises `InvalidAudioError` for headers that no audio can follow.
    """
    size_bytes = source.seek(0, io.SEEK_END)
    walk = _WALKS.get(kind or "")
    extent = Extent(size_bytes, size_bytes) if walk is None else walk(source, size_bytes, start_bytes)
    source.seek(0)
    return extent


def tags_bytes(source: BinaryIO) -> int:
    """Size of all ID3v2 tags at the start of a file. No decoder gets them, since their frames may be compressed and
    expand to gigabytes."""
    position = 0
    for _ in range(_MAX_TAGS):
        source.seek(position)
        tag_bytes = id3_bytes(source.read(10))
        if not tag_bytes:
            return position
        position += tag_bytes
    raise InvalidAudioError(f"The file begins with {_MAX_TAGS} ID3 tags or more.")


def end_of_audio(source: BinaryIO, kind: str | None) -> int | None:
    """Where an ID3v1 tag begins, which a demuxer would treat as audio; None if there is none."""
    if kind not in (None, "aac", "amr", "au"):
        return None
    end = source.seek(0, io.SEEK_END) - _ID3V1_BYTES
    if end < 0:
        return None
    source.seek(end)
    return end if source.read(3) == b"TAG" else None


def _wav(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    """By the data chunk; chunks before it are skipped."""
    source.seek(start_bytes)
    form = source.read(12)[:4]
    order: Literal["little", "big"] = "big" if form == b"RIFX" else "little"
    position, long_size_bytes, sample_bytes = start_bytes + 12, 0, 1
    for _ in range(_MAX_PARTS):
        if position + 8 > size_bytes:
            raise InvalidAudioError("The WAV file has no data chunk: there is no audio in it.")
        source.seek(position)
        name, chunk_bytes = source.read(4), int.from_bytes(source.read(4), order)
        if name == b"ds64":
            source.seek(8, io.SEEK_CUR)
            long_size_bytes = int.from_bytes(source.read(8), "little")
        if name == b"fmt ":
            head = source.read(14)
            is_pcm = int.from_bytes(head[:2], order) in _PCM_TAGS
            sample_bytes = max(1, int.from_bytes(head[12:14], order)) if is_pcm else 1
        if name == b"data":
            begin = position + 8
            if form in (b"RF64", b"BW64") and chunk_bytes == 0xFFFF_FFFF:
                end = begin + long_size_bytes
            else:
                end = size_bytes if chunk_bytes >= UNKNOWN_SIZE_FROM or not chunk_bytes else begin + chunk_bytes
            return Extent(size_bytes, end, max(0, min(end, size_bytes) - begin) % sample_bytes)
        position += 8 + chunk_bytes + chunk_bytes % 2
    raise _too_many_parts("WAV", "chunks")


def big_endian_wav(source: BinaryIO, start_bytes: int) -> RawPart | None:
    """The samples of a WAV file in big-endian order (RIFX); None for any other file. Leaves `source` anywhere.

    ffmpeg reads its headers, but then treats the samples as little-endian.
    """
    source.seek(start_bytes)
    if source.read(4) != b"RIFX":
        return None
    size_bytes, position, form = source.seek(0, io.SEEK_END), start_bytes + 12, b""
    for _ in range(_MAX_PARTS):
        source.seek(position)
        head = source.read(8)
        chunk_bytes = int.from_bytes(head[4:], "big")
        if head[:4] == b"fmt ":
            form = source.read(16)
        if head[:4] == b"data" or len(head) < 8:
            tag, channels, rate_hz, _, _, bits = struct.unpack(">HHIIHH", form.ljust(16, b"\0"))
            end = size_bytes if chunk_bytes >= UNKNOWN_SIZE_FROM or not chunk_bytes else position + 8 + chunk_bytes
            return RawPart(tag, channels, rate_hz, bits, position + 8, min(end, size_bytes))
        position += 8 + chunk_bytes + chunk_bytes % 2
    raise _too_many_parts("WAV", "chunks")


def _mp4(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    """By the top-level boxes (ISO/IEC 14496-12, section 4.2: size 0 runs to the end, 1 is 64-bit)."""
    position = start_bytes
    names: set[bytes] = set()
    for _ in range(_MAX_PARTS):
        if position + 8 > size_bytes:
            break
        source.seek(position)
        header = source.read(16)
        box_bytes, name = int.from_bytes(header[:4], "big"), header[4:8]
        if box_bytes == 1:
            box_bytes = int.from_bytes(header[8:16], "big")
        if not _BOX_NAME.fullmatch(name) or 0 < box_bytes < 8 or _is_tail(header):
            position = size_bytes  # not a box: the rest is not read
            break
        names.add(name)
        position = size_bytes if box_bytes == 0 else position + box_bytes
    else:
        raise _too_many_parts("MP4", "boxes")
    if b"moov" not in names:
        raise InvalidAudioError(
            "The MP4 file has no index (moov), which is required to read its audio: its end is missing, or its "
            "recorder was stopped before it wrote the index."
        )
    return Extent(size_bytes, max(position, size_bytes))


def _is_tail(header: bytes) -> bool:
    """Whether it is a tag of another kind of file (ID3v1, APE, Lyrics3), which some programs append to any file."""
    return header[:3] == b"TAG" or header.startswith((b"APETAGEX", b"LYRICSBEGIN", b"ID3"))


def _webm(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    """By the segment (RFC 8794, section 6.2: all size bits set is unknown)."""
    source.seek(start_bytes)
    head = source.read(256)
    segment = head.find(b"\x18\x53\x80\x67")
    if segment < 0 or segment + 5 > len(head) or not head[segment + 4]:
        return Extent(size_bytes, size_bytes)
    width_bytes = 9 - head[segment + 4].bit_length()
    value_mask = (1 << 7 * width_bytes) - 1
    value = int.from_bytes(head[segment + 4 : segment + 4 + width_bytes], "big") & value_mask
    is_known = value != value_mask
    return Extent(size_bytes, start_bytes + segment + 4 + width_bytes + value if is_known else size_bytes)


def _ogg(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    """By the pages (RFC 3533, section 6). Bytes that are not a page are left to the decoder."""
    position = start_bytes
    for _ in range(_MAX_PARTS):
        if position >= size_bytes:
            return Extent(size_bytes, position)
        source.seek(position)
        header = source.read(27)
        if not header.startswith(b"OggS"[: len(header)]):
            return Extent(size_bytes, size_bytes)
        if len(header) < 27:
            return Extent(size_bytes, position + 27)
        segments = source.read(header[26])
        position += 27 + header[26] + sum(segments)
        if len(segments) < header[26]:
            return Extent(size_bytes, max(position, size_bytes + 1))
    raise _too_many_parts("Ogg", "pages")


def _mp3(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    """By the byte count of a Xing or Info header."""
    source.seek(start_bytes)
    head = source.read(64)
    # The tag follows the side information of the first frame: 9 to 32 bytes, and 4 of the frame header.
    tag = re.search(rb"Xing|Info", head[:48])
    if tag is None or not mpeg_frame_bytes(head[:4]) or not head[tag.end() + 3] & 2:
        return Extent(size_bytes, size_bytes)
    at = tag.end() + 4 + 4 * (head[tag.end() + 3] & 1)
    end_bytes = start_bytes + int.from_bytes(head[at : at + 4], "big")
    # Some encoders count the ID3v1 tag, which may have been removed.
    return Extent(size_bytes, size_bytes if end_bytes <= size_bytes + _ID3V1_BYTES else end_bytes)


def _form(order: Literal["little", "big"]) -> Walk:
    """By the size after the name of the outermost form, as in AIFF and AVI."""

    def walk(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
        source.seek(start_bytes + 4)
        return _known(size_bytes, start_bytes + 8, int.from_bytes(source.read(4), order))

    return walk


def _au(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    source.seek(start_bytes + 4)
    head_bytes, data_bytes = (int.from_bytes(source.read(4), "big") for _ in range(2))
    return _known(size_bytes, start_bytes + head_bytes, data_bytes)


def _w64(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    source.seek(start_bytes + 16)
    return _known(size_bytes, start_bytes, int.from_bytes(source.read(8), "little"))


def _caf(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    """By the chunks; the size of the last one may be -1."""
    position = start_bytes + 8
    for _ in range(_MAX_PARTS):
        if position + 12 > size_bytes:
            return Extent(size_bytes, max(position, size_bytes))
        source.seek(position + 4)
        chunk_bytes = int.from_bytes(source.read(8), "big", signed=True)
        if chunk_bytes < 0:
            return Extent(size_bytes, size_bytes)
        position += 12 + chunk_bytes
    raise _too_many_parts("CAF", "chunks")


def _asf(source: BinaryIO, size_bytes: int, start_bytes: int) -> Extent:
    """By the file properties object; its size is that of the file."""
    source.seek(start_bytes)
    at = source.read(_ASF_HEAD_BYTES).find(_ASF_PROPERTIES)
    if at < 0:
        return Extent(size_bytes, size_bytes)
    source.seek(start_bytes + at + 40)
    return _known(size_bytes, start_bytes, int.from_bytes(source.read(8), "little"))


def _known(size_bytes: int, begin: int, stated_bytes: int) -> Extent:
    """Writers that cannot seek leave 0, or an impossible size."""
    is_known = 0 < stated_bytes < UNKNOWN_SIZE_FROM or UNKNOWN_SIZE_FROM << 1 < stated_bytes < _LARGEST_BYTES
    return Extent(size_bytes, begin + stated_bytes if is_known else size_bytes)


def _too_many_parts(container: str, parts: str) -> InvalidAudioError:
    return InvalidAudioError(f"The {container} file has more than {_MAX_PARTS} {parts}.")


_WALKS: Final[dict[str, Walk]] = {
    "wav": _wav,
    "mp4": _mp4,
    "webm": _webm,
    "ogg": _ogg,
    "mp3": _mp3,
    "aiff": _form("big"),
    "avi": _form("little"),
    "au": _au,
    "w64": _w64,
    "caf": _caf,
    "asf": _asf,
}
