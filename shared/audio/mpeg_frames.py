"""Parses headers of MPEG audio and ADTS frames, and detects chains of them. Reads framing only, never samples."""

from collections.abc import Callable
from typing import Final

FRAMES_TO_CHAIN: Final = 4

_LAYER_III_2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BITRATES_KBPS: Final = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): _LAYER_III_2,
    (2, 3): _LAYER_III_2,
}
"""By MPEG version (2 holds for 2.5 too) and layer; ISO/IEC 11172-3 and 13818-3. Index 15 is invalid."""
_RATES_HZ: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Sample rates by the version bits of the header: 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5."""
_ADTS_RATES: Final = 13
"""Sample rates that ADTS has an index for (ISO/IEC 13818-7)."""


def is_mpeg_chain(head: bytes) -> bool:
    """Whether the bytes are successive frames of layer I, II or III from the first byte on."""
    return _is_chain(head, 4, mpeg_frame_bytes, lambda header: (header[1] & 0xFE, header[2] & 0x0C))


def is_adts_chain(head: bytes) -> bool:
    """Whether the bytes are successive ADTS frames of AAC from the first byte on."""
    return _is_chain(head, 7, adts_frame_bytes, lambda header: (header[1], header[2], header[3] & 0xF0))


def mpeg_frame_bytes(header: bytes) -> int:
    """Length of the MPEG audio frame with this header of 4 bytes, 0 if it is not such a header."""
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer, bitrate, rate = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3 or header[3] & 3 == 2:
        return 0
    bits = 1000 * _BITRATES_KBPS[1 if version == 3 else 2, layer][bitrate]
    rate_hz, padding = _RATES_HZ[version][rate], header[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // rate_hz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // rate_hz + padding


def adts_frame_bytes(header: bytes) -> int:
    """Length of the ADTS frame with this header of 7 bytes, 0 if it is not such a header."""
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 0x0F >= _ADTS_RATES:
        return 0
    frame_bytes = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return frame_bytes if frame_bytes > 7 else 0


def _is_chain(
    head: bytes, header_bytes: int, frame_bytes: Callable[[bytes], int], signature: Callable[[bytes], tuple[int, ...]]
) -> bool:
    """Two frames or more, all of one signature; old tags (ID3v1, APE) may follow the last one of a very short file."""
    position = frames = 0
    first: tuple[int, ...] | None = None
    while frames < FRAMES_TO_CHAIN and position + header_bytes <= len(head):
        header = head[position : position + header_bytes]
        size_bytes = frame_bytes(header)
        if not size_bytes or signature(header) != (first or signature(header)):
            return frames >= 2 and header[:3] in (b"TAG", b"APE")
        first = signature(header)
        position += size_bytes
        frames += 1
    return frames >= 2
