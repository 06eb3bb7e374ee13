"""Detects the kind of a file by its first bytes, and has the names of the kinds for messages.

Reads framing only, never samples. Knows no library: `shared.audio.ffmpeg_build` says what can be decoded.
"""

import re
from collections.abc import Callable
from typing import Final

from shared.audio.mpeg_frames import is_adts_chain, is_mpeg_chain

SNIFF_BYTES = 16_384
"""The most bytes that `sniff` needs: enough for several MP3 frames and any WebM header."""

NAMES: Final = {
    "wav": "WAV",
    "flac": "FLAC",
    "mp3": "MP3",
    "aac": "AAC",
    "ogg": "Ogg",
    "webm": "WebM/Matroska",
    "mp4": "MP4",
    "aiff": "AIFF",
    "caf": "CAF",
    "au": "AU",
    "w64": "W64",
    "amr": "AMR",
    "asf": "WMA/ASF",
    "avi": "AVI",
    "flv": "FLV",
    "mpegts": "MPEG-TS",
    "mpeg": "MPEG-PS",
    "nist": "NIST SPHERE",
}
"""The kinds that `sniff` distinguishes, with their names in messages."""

TAG_HEAD_BYTES: Final = 16
ADVICE: Final = "send a recording, such as WAV, FLAC, MP3, M4A, Ogg or WebM"
CONVERT: Final = "convert it, for example with `ffmpeg -i in out.flac`"

_TS_PACKET_BYTES: Final = 188
_TS_PACKETS: Final = 5
_MP4_BOXES: Final = (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx", b"uuid")
_TEXT_BYTES: Final = 512


def sniff(head: bytes) -> str | None:
    """The kind of file that begins with these bytes, a key of `NAMES`; None if that is not certain.

    Each needs at least six bytes that raw samples match by chance less than once in 10^12 payloads; MP3 without a
    tag and AAC need two consecutive frame headers that agree (and every further one in `head`, up to four).
    Give up to `SNIFF_BYTES`.
    """
    head = bytes(head[:SNIFF_BYTES])
    return next((kind for kind, is_head in _HEADS.items() if is_head(head)), None)


def kind_of_file(head: bytes) -> str | None:
    """The same for bytes that are certainly a file: fewer of them suffice."""
    if (kind := sniff(head)) is None and head[4:8] in _MP4_BOXES:
        return "mp4"
    return kind


def first_frame(head: bytes, kind: str) -> int:
    """The position of the first whole frame if a recording begins in the middle of one; `kind` is `mp3` or `aac`. 0 if
    none is found. Bytes inside a frame may look like a frame header, so several frames must follow."""
    is_chain = is_adts_chain if kind == "aac" else is_mpeg_chain
    starts = (found.start() for found in re.finditer(rb"\xff[\xe0-\xff]", head))
    return next((start for start in starts if is_chain(head[start:])), 0)


def id3_bytes(head: bytes) -> int:
    """Size of the ID3v2 tag at the start, 0 if there is none (id3.org, ID3v2.4.0 section 3.1: four 7-bit bytes)."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (2, 3, 4) or head[4] == 0xFF or head[5] & 0x0F:
        return 0
    if any(byte & 0x80 for byte in head[6:10]):
        return 0
    footer_bytes = 10 if head[5] & 0x10 else 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer_bytes


def tag_bytes(head: bytes) -> int:
    """Size of the tag (ID3v2, ID3v1, APEv2) that begins with these `TAG_HEAD_BYTES`, 0 if there is none."""
    if head[:8] == b"APETAGEX":  # its size does not count the first of its two heads
        return 32 + int.from_bytes(head[12:16], "little")
    return 128 if head[:3] == b"TAG" else id3_bytes(head)


def without_audio(head: bytes) -> str | None:
    """The kind of a file without audio, for messages: a picture, a document, a playlist. None if it is unknown."""
    for pattern, name in _WITHOUT_AUDIO:
        if re.match(pattern, head):
            return name
    return "text" if _is_text(head[:_TEXT_BYTES]) else None


def _is_transport_stream(head: bytes) -> bool:
    """188 bytes from one sync byte to the next, and a program association table (packet id 0) among them."""
    packets = [head[at : at + 4] for at in range(0, len(head) - 3, _TS_PACKET_BYTES)]
    starts = any(packet[1:3] == b"\x40\x00" for packet in packets)
    return len(packets) >= _TS_PACKETS and starts and all(packet[0] == 0x47 for packet in packets)


_HEADS: Final[dict[str, Callable[[bytes], object]]] = {
    "wav": lambda head: head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE",
    "flac": lambda head: re.match(rb"fLaC[\x00\x80]\x00\x00\x22", head),
    "ogg": lambda head: re.match(rb"OggS\x00[\x02\x06]", head),
    "webm": lambda head: re.match(rb"\x1a\x45\xdf\xa3(?s:.){0,100}\x42\x82[\x80-\xff](webm|matroska)", head),
    "mp4": lambda head: re.match(rb"\x00\x00[\x00-\x04](?s:.)ftyp[\x20-\x7e]{4}", head),
    "aiff": lambda head: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"),
    "caf": lambda head: head.startswith(b"caff\x00\x01\x00\x00"),
    "au": lambda head: re.match(rb"\.snd\x00\x00(?s:..)(?s:.){4}\x00\x00\x00[\x01-\x1b](?s:.){4}\x00\x00\x00", head),
    "w64": lambda head: head.startswith(b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"),
    "amr": lambda head: re.match(rb"#!AMR(-WB)?(_MC1\.0)?\n", head),
    "asf": lambda head: head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
    "avi": lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ",
    "flv": lambda head: re.match(rb"FLV\x01[\x00\x01\x04\x05]\x00\x00\x00\x09", head),
    "nist": lambda head: head.startswith(b"NIST_1A\n"),
    "mpeg": lambda head: re.match(
        rb"\x00\x00\x01\xba[\x21\x23\x25\x27\x29\x2b\x2d\x2f\x44-\x7f](?s:.){4,30}\x00\x00\x01", head
    ),
    "mpegts": _is_transport_stream,
    "mp3": lambda head: id3_bytes(head) or is_mpeg_chain(head),
    "aac": is_adts_chain,
}

_WITHOUT_AUDIO: Final = (
    (rb"%PDF-", "a PDF document"),
    (rb"PK\x03\x04", "a ZIP archive, or a document in that format"),
    (rb"\x1f\x8b|BZh|7z\xbc\xaf|Rar!|\xfd7zXZ", "a compressed archive"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF(?s:.{4})WEBP|BM(?s:.{4})\x00\x00\x00\x00", "a picture"),
    (rb"MThd", "a MIDI file, which holds notes"),
    (rb"\xd0\xcf\x11\xe0", "an Office document"),
    (rb"\x7fELF|MZ(?s:.{58})", "a program"),
    (rb"\s*#EXTM3U", "a playlist (M3U)"),
    (rb"\s*\[playlist\]", "a playlist (PLS)"),
    (rb"\s*ffconcat ", "a list of files (ffconcat)"),
    (rb"v=0\r?\no=", "a description of a session (SDP)"),
    (rb"(?i)\s*(<\?xml[^>]*>\s*)?<(!doctype html|html)", "a web page (HTML)"),
    (rb"(?i)\s*(<\?xml[^>]*>\s*)?<(mpd|smil|asx)", "a playlist (XML)"),
    (rb"(?i)data:[a-z]+/", "a data URL, whose base64 was not decoded"),
    (rb"WEBVTT|\s*1\r?\n\d\d:\d\d:\d\d", "subtitles"),
)


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")
    is_whole = len(text.encode()) >= len(head) - 3  # a character may be cut
    return bool(text) and is_whole and all(letter.isprintable() or letter in "\r\n\t" for letter in text)
