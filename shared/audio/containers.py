"""Which container a file is, by its first bytes, and whether all of it is there, by what its own headers say.

Reads framing only, never samples. Everything here runs on untrusted bytes: no size that a file states is
allocated, only compared or skipped.
"""

import io
import re
from collections.abc import Callable
from typing import BinaryIO

from shared.errors import InvalidAudioError

SNIFF_BYTES = 16_384
"""How much of the beginning `sniff` wants at most: enough for several MP3 frames and any WebM header."""

CONTAINERS = ("WAV", "FLAC", "MP3", "Ogg", "WebM", "M4A")
"""For messages."""

_MP3_FRAMES_TO_CHAIN = 4
_MP3_BITRATES_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Layer III bit rates by MPEG version (2 holds for 2.5 too); ISO/IEC 11172-3 and 13818-3. Index 15 is invalid."""
_MP3_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Sample rates by the version bits of the header: 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5."""

_UNKNOWN_SIZE_FROM = 0x7FFF_0000
"""A 32-bit size from here on is what writers that cannot seek put down (0x7FFFxxxx, 0xFFFFFFFF): "until the end"."""


_MAX_PARTS = 1_000_000
"""Chunks, boxes or pages that are walked at most (about 2 s): Ogg with a page per 20 ms reaches it after 5.5 hours."""
_MAX_TAGS = 64


def sniff(head: bytes) -> str | None:
    """The container that a file with these first bytes is: `wav`, `flac`, `mp3`, `ogg`, `webm`, `mp4`, or None.

    Each needs at least six bytes that raw samples hit by chance less than once in 10^12 payloads; MP3 without a
    tag needs two consecutive frame headers that agree (and every further one in `head`, up to four).
    Give up to `SNIFF_BYTES`.
    """
    head = bytes(head[:SNIFF_BYTES])
    return next((container for container, is_head in _HEADS.items() if is_head(head)), None)


def check_complete(source: BinaryIO, container: str) -> None:
    """Raises `InvalidAudioError` when a file is shorter than its own headers say; leaves `source` at its start.

    - WAV: the size of the data chunk. 0 and the "unknown" sizes of streaming writers mean: until the end.
    - MP4: every top-level box. One in fragments that ends between two of them is a live recording.
    - WebM: the size of the segment, where it is known (recorders in browsers leave it open).
    - Ogg: every page; a missing end-of-stream mark is accepted, for live recordings lack it.
    - MP3: the byte count of the Xing/Info header, where there is one.
    - FLAC states samples, not bytes: the caller compares those after decoding.
    """
    size_bytes = source.seek(0, io.SEEK_END)
    end_bytes = _DECLARED_END[container](source, size_bytes) if container in _DECLARED_END else size_bytes
    source.seek(0)
    if end_bytes > size_bytes:
        raise InvalidAudioError(
            f"The {container} file is cut short: its headers announce {end_bytes} bytes, {size_bytes} are there."
        )


def tags_bytes(source: BinaryIO) -> int:
    """Size of all ID3v2 tags at the start of a file. No decoder gets them: their frames may be compressed, and become
    gigabytes."""
    position = 0
    for _ in range(_MAX_TAGS):
        source.seek(position)
        tag_bytes = _id3_bytes(source.read(10))
        if not tag_bytes:
            return position
        position += tag_bytes
    raise InvalidAudioError(f"The mp3 file begins with {_MAX_TAGS} tags or more.")


def flac_total_samples(head: bytes) -> int:
    """Samples per channel that the STREAMINFO block states, 0 for unknown (RFC 9639, section 8.2)."""
    return int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF


_HEADS: dict[str, Callable[[bytes], object]] = {
    "wav": lambda head: head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE",
    "flac": lambda head: re.match(rb"fLaC[\x00\x80]\x00\x00\x22", head),
    "ogg": lambda head: re.match(rb"OggS\x00[\x02\x06]", head),
    "webm": lambda head: re.match(rb"\x1a\x45\xdf\xa3(?s:.){0,100}\x42\x82[\x80-\xff](webm|matroska)", head),
    "mp4": lambda head: re.match(rb"\x00\x00[\x00-\x04](?s:.)ftyp[\x20-\x7e]{4}", head),
    "mp3": lambda head: _id3_bytes(head) or _is_mp3_chain(head),
}


def _id3_bytes(head: bytes) -> int:
    """Size of the ID3v2 tag at the start, 0 without one (id3.org, ID3v2.4.0 section 3.1: four 7-bit bytes)."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (2, 3, 4) or head[4] == 0xFF or head[5] & 0x0F:
        return 0
    if any(byte & 0x80 for byte in head[6:10]):
        return 0
    footer_bytes = 10 if head[5] & 0x10 else 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer_bytes


def _is_mp3_chain(head: bytes) -> bool:
    position = frames = 0
    signature = None
    while frames < _MP3_FRAMES_TO_CHAIN and position + 4 <= len(head):
        frame_bytes = _mp3_frame_bytes(head[position : position + 4])
        version_and_rate = head[position + 1] & 0xFE, head[position + 2] & 0x0C
        if not frame_bytes or version_and_rate != (signature or version_and_rate):
            # Tags of old (ID3v1, APE) may follow the last frame of a very short file.
            return frames >= 2 and head[position : position + 3] in (b"TAG", b"APE")
        signature = version_and_rate
        position += frame_bytes
        frames += 1
    return frames >= 2


def _mp3_frame_bytes(header: bytes) -> int:
    """Length of the layer III frame with this header, 0 when it is no such header."""
    if header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3 or header[3] & 3 == 2:
        return 0
    kbps = _MP3_BITRATES_KBPS[1 if version == 3 else 2][bitrate]
    return (144_000 if version == 3 else 72_000) * kbps // _MP3_RATES_HZ[version][rate] + (header[2] >> 1 & 1)


def _wav_end(source: BinaryIO, size_bytes: int) -> int:
    """Where the data chunk should end; `size_bytes` when it does not say."""
    source.seek(0)
    is_rf64 = source.read(12)[:4] == b"RF64"
    position = 12
    long_size_bytes = 0
    for _ in range(_MAX_PARTS):
        if position + 8 > size_bytes:
            raise InvalidAudioError("The wav file has no data chunk.")
        source.seek(position)
        name, chunk_bytes = source.read(4), int.from_bytes(source.read(4), "little")
        if name == b"ds64":
            source.seek(8, io.SEEK_CUR)
            long_size_bytes = int.from_bytes(source.read(8), "little")
        if name == b"data":
            if is_rf64 and chunk_bytes == 0xFFFF_FFFF:
                return position + 8 + long_size_bytes
            return size_bytes if chunk_bytes >= _UNKNOWN_SIZE_FROM else position + 8 + chunk_bytes
        position += 8 + chunk_bytes + chunk_bytes % 2
    raise _too_many_parts("wav", "chunks")


def _mp4_end(source: BinaryIO, size_bytes: int) -> int:
    """Where the last top-level box should end (ISO/IEC 14496-12, section 4.2: size 0 runs to the end, 1 is 64-bit)."""
    position = 0
    for _ in range(_MAX_PARTS):
        if position + 8 > size_bytes:
            # Fewer than 8 bytes behind the last box are no box.
            return position
        source.seek(position)
        header = source.read(16)
        box_bytes = int.from_bytes(header[:4], "big")
        if box_bytes == 0:
            return size_bytes
        if box_bytes == 1:
            box_bytes = int.from_bytes(header[8:16], "big")
        if box_bytes < 8:
            raise InvalidAudioError(f"The mp4 file has a box of {box_bytes} bytes at byte {position}; 8 is the least.")
        position += box_bytes
    raise _too_many_parts("mp4", "boxes")


def _webm_end(source: BinaryIO, size_bytes: int) -> int:
    """Where the segment should end (RFC 8794, section 6.2: all size bits set is unknown)."""
    source.seek(0)
    head = source.read(256)
    segment = head.find(b"\x18\x53\x80\x67")
    if segment < 0 or segment + 5 > len(head) or not head[segment + 4]:
        return size_bytes
    width_bytes = 9 - head[segment + 4].bit_length()
    value_mask = (1 << 7 * width_bytes) - 1
    value = int.from_bytes(head[segment + 4 : segment + 4 + width_bytes], "big") & value_mask
    return size_bytes if value == value_mask else segment + 4 + width_bytes + value


def _ogg_end(source: BinaryIO, size_bytes: int) -> int:
    """Where the last page should end (RFC 3533, section 6). Bytes that are no page are left to the decoder."""
    position = 0
    for _ in range(_MAX_PARTS):
        if position >= size_bytes:
            return position
        source.seek(position)
        header = source.read(27)
        if not header.startswith(b"OggS"[: len(header)]):
            return size_bytes
        if len(header) < 27:
            return position + 27
        segments = source.read(header[26])
        position += 27 + header[26] + sum(segments)
        if len(segments) < header[26]:
            return max(position, size_bytes + 1)
    raise _too_many_parts("ogg", "pages")


def _mp3_end(source: BinaryIO, size_bytes: int) -> int:
    """Where the audio should end by the byte count of a Xing or Info header, `size_bytes` without one."""
    start = tags_bytes(source)
    source.seek(start)
    head = source.read(64)
    # The tag stands behind the side information of the first frame: 9 to 32 bytes, and 4 of the frame header.
    tag = re.search(rb"Xing|Info", head[:48])
    if tag is None or not _mp3_frame_bytes(head[:4]):
        return size_bytes
    flags, has_frames = head[tag.end() + 3], head[tag.end() + 3] & 1
    if not flags & 2:
        return size_bytes
    at = tag.end() + 4 + 4 * has_frames
    return start + int.from_bytes(head[at : at + 4], "big")


def _too_many_parts(container: str, parts: str) -> InvalidAudioError:
    return InvalidAudioError(f"The {container} file has more than {_MAX_PARTS} {parts}.")


_DECLARED_END = {"wav": _wav_end, "mp4": _mp4_end, "webm": _webm_end, "ogg": _ogg_end, "mp3": _mp3_end}
