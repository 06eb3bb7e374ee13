"""The headers of FLAC: the number of samples, and the position of each frame (RFC 9639).

Reads headers only, never samples.
"""

from typing import Final

_HEAD_BYTES: Final = 16
"""Bytes of a frame that its number needs."""
_VARIABLE: Final = 1
"""The bit of the second byte that marks frames of variable length, which are numbered by samples."""


def total_samples(head: bytes) -> int:
    """Samples per channel that the STREAMINFO block declares, 0 for unknown (section 8.2)."""
    return int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF


class FlacPositions:
    """Detects missing frames by their numbers."""

    def __init__(self) -> None:
        self._end = 0
        """Position after the last packet; 0 before the first."""
        self._frame_samples = 0
        """Samples of the first frame: all frames except the last have this length if frames are numbered."""

    def missing_samples(self, packet: memoryview, frames_samples: list[int]) -> int:
        """How many samples are missing before this packet, whose frames hold `frames_samples`.

        A packet is one frame, or several if a demuxer has not found all of their beginnings.
        """
        head = bytes(packet[:_HEAD_BYTES])
        number = _number(head)
        if number is None or not frames_samples:
            return 0
        self._frame_samples = self._frame_samples or frames_samples[0]
        start = number if head[1] & _VARIABLE else number * self._frame_samples
        missing = max(0, start - self._end) if self._end else 0
        self._end = start + sum(frames_samples)
        return missing


def _number(head: bytes) -> int | None:
    """The coded number of a frame (section 9.1.5: as UTF-8, up to 36 bits)."""
    if len(head) < 11 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    first = head[4]
    if first < 0x80:
        return first
    following = 7 - (~first & 0xFF).bit_length()
    if not 1 <= following <= 6:
        return None
    number = first & (0x3F >> following)
    for byte in head[5 : 5 + following]:
        number = number << 6 | byte & 0x3F
    return number
