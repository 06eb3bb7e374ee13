"""Detects whether a live stream of bytes begins with raw samples, or with another format.

Raw samples have no signature, so the signature of another format must be long enough that samples do not begin with it
by chance. Each one here has at least 38 fixed bits; MPEG and ADTS audio, whose frames begin with 11 to 16 fixed
bits, is detected only if three frames in a row, each at the position that the one before it gives, agree in their
headers (43 bits or more). In a stream of samples those bits are practically random, or zero.
"""

from dataclasses import dataclass
from typing import Final

from shared.audio.containers import NAMES as FILE_NAMES
from shared.audio.containers import SNIFF_BYTES, sniff
from shared.audio.mpeg_frames import adts_frame_bytes

NAMES: Final = FILE_NAMES | {
    "webm": "WebM",
    "aac": "AAC (ADTS)",
    "asf": "WMA (ASF)",
    "rifx": "WAV with big-endian samples (RIFX)",
}
"""Names for messages."""
CONTAINERS: Final = ("wav", "flac", "mp3", "aac", "ogg", "webm", "mp4")
"""Kinds that can be decoded live (`shared.audio.live_container`)."""
MPEG_BYTES: Final = 4_400
"""Enough for three frames of MPEG audio, of at most 1441 bytes, or three of ADTS of common sizes."""
WEBM_BYTES: Final = 256
"""The kind of the container is in the first header, about 40 bytes from the beginning."""

_ADTS_FIXED_BITS: Final = 0xFFFE_FDC0
_ANY: Final = None
_Mark = tuple[bytes | None, ...]
"""A signature: for each byte, the values that it may have."""


def _mark(*parts: bytes | int | tuple[bytes, ...]) -> _Mark:
    """Make a signature of fixed bytes, a number of free bytes, and choices for one byte each."""
    mark: list[bytes | None] = []
    for part in parts:
        if isinstance(part, int):
            mark += [_ANY] * part
        elif isinstance(part, tuple):
            mark += part
        else:
            mark += [part[at : at + 1] for at in range(len(part))]
    return tuple(mark)


_SEVEN_BITS: Final = bytes(range(0x80))
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_MARKS: Final[tuple[tuple[str, _Mark], ...]] = (
    ("wav", _mark(b"RIFF", 4, b"WAVE")),
    ("wav", _mark(b"RF64", 4, b"WAVE")),
    ("flac", _mark(b"fLaC", (b"\x00\x80",), b"\x00\x00\x22")),
    ("ogg", _mark(b"OggS\x00", (b"\x02\x06",))),
    ("mp4", _mark(b"\x00\x00", (b"\x00\x01\x02\x03\x04",), 1, b"ftyp", (_PRINTABLE,) * 4)),
    ("mp3", _mark(b"ID3", (b"\x02\x03\x04", bytes(range(0xFF)), bytes(range(0, 256, 16))), (_SEVEN_BITS,) * 4)),
    ("amr", _mark(b"#!AMR")),
    ("aiff", _mark(b"FORM", 4, b"AIF", (b"FC",))),
    ("caf", _mark(b"caff\x00\x01\x00\x00")),
    ("asf", _mark(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"))),
    ("au", _mark(b".snd\x00\x00")),
    ("w64", _mark(b"riff\x2e\x91\xcf\x11")),
    ("avi", _mark(b"RIFF", 4, b"AVI ")),
    ("rifx", _mark(b"RIFX", 4, b"WAVE")),
    ("flv", _mark(b"FLV\x01", (b"\x01\x04\x05",), b"\x00\x00\x00\x09")),
    ("mpegts", _mark(b"\x47", (bytes(range(0x40, 0x60)),), 186, *(b"\x47", 187) * 3, b"\x47")),
)
_EBML: Final = b"\x1a\x45\xdf\xa3"


@dataclass(frozen=True, slots=True)
class Start:
    """What the first bytes tell about a stream."""

    kind: str | None = None
    """A key of `NAMES` (or of `sniff`); None: raw samples, unless `wants_more`."""
    wants_more: bool = False
    """Whether the bytes so far may be the beginning of a signature."""


def start_of(head: bytes, *, is_all: bool = False) -> Start:
    """The kind of a stream with these first bytes. `is_all`: nothing more follows."""
    for kind, mark in _MARKS:
        if all(allowed is None or byte in allowed for byte, allowed in zip(head, mark, strict=False)):
            if len(head) >= len(mark):
                return Start(kind)
            return Start(wants_more=not is_all)
    if head[:4] == _EBML[: len(head)]:
        return _by_sniffing(head, WEBM_BYTES, is_all=is_all)
    if head[:1] == b"\xff" and (len(head) == 1 or head[1] & 0xE6 == 0xE2 or head[1] & 0xF6 == 0xF0):
        if _is_adts(head):
            return Start("aac")
        return _by_sniffing(head, MPEG_BYTES, is_all=is_all)
    return Start(wants_more=not head and not is_all)


def _by_sniffing(head: bytes, enough_bytes: int, *, is_all: bool) -> Start:
    if len(head) < enough_bytes and not is_all:
        return Start(wants_more=True)
    return Start(sniff(head[:SNIFF_BYTES]))


def _is_adts(head: bytes) -> bool:
    """Whether it begins with three successive ADTS frames with the same fixed bits in their headers."""
    position, first = 0, int.from_bytes(head[:4], "big") & _ADTS_FIXED_BITS
    for _ in range(3):
        header = head[position : position + 7]
        size_bytes = adts_frame_bytes(header) if len(header) == 7 else 0
        if not size_bytes or int.from_bytes(header[:4], "big") & _ADTS_FIXED_BITS != first:
            return False
        position += size_bytes
    return True
