"""Parses the header of a WAV stream piece by piece: the format of its samples, and how many bytes of them follow.

Knows no samples. Runs on untrusted bytes: chunks before the samples are skipped, never kept.
"""

import struct
from dataclasses import dataclass
from typing import Final

from shared.audio.pcm import MAX_CHANNELS, SAMPLE_BYTES, AudioFormat
from shared.errors import InvalidAudioError, InvalidFieldError, UnsupportedAudioError
from shared.session_options import MAX_TRACKS

MAX_HEADER_BYTES: Final = 1 << 20
"""Limit of bytes before the samples. Chunks with descriptions have a few kilobytes."""
UNKNOWN_SIZE_FROM: Final = 0x7FFF_0000
"""A 32-bit size of at least this (0x7FFFxxxx, 0xFFFFFFFF), or 0, means: until the end (writers that cannot seek)."""
_EXTENSIBLE: Final = 0xFFFE
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
"""In the extensible format: what follows the tag in the identifier of a sub-format."""
_ENCODINGS: Final = {
    (1, 8): "pcm_u8",
    (1, 16): "pcm_s16le",
    (1, 24): "pcm_s24le",
    (1, 32): "pcm_s32le",
    (3, 16): "pcm_f16le",
    (3, 32): "pcm_f32le",
    (3, 64): "pcm_f64le",
    (6, 8): "pcma",
    (7, 8): "pcmu",
}
"""By format tag and bits of a sample."""
_KEPT_FORM_BYTES: Final = 40


@dataclass(frozen=True, slots=True)
class WavSamples:
    """The samples that follow a header."""

    audio_format: AudioFormat
    size_bytes: int | None
    """None: until the end of the stream."""


def is_wav_head(head: bytes) -> bool:
    """Whether bytes begin like a WAV file. The probability that others do by chance is at most 2^-64."""
    return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"


class WavHeader:
    """One header. Call `feed` until it returns a result."""

    def __init__(self, *, separate: bool = False) -> None:
        """`separate`: whether the channels of its samples are kept apart."""
        self._separate = separate
        self._buffer = bytearray()
        self._taken_bytes = 0
        self._skip_bytes = 12
        """Remaining bytes of the chunk, or of the file's head, that is being skipped."""
        self._format: AudioFormat | None = None

    def feed(self, chunk: bytes) -> tuple[WavSamples, bytes] | None:
        """The format of the samples, and those already received; None while the header is incomplete.

        Raises InvalidAudioError, and UnsupportedAudioError for samples that are not supported.
        """
        self._buffer += chunk
        while True:
            skipped = min(self._skip_bytes, len(self._buffer))
            del self._buffer[:skipped]
            self._skip_bytes -= skipped
            self._taken_bytes += skipped
            if self._taken_bytes > MAX_HEADER_BYTES:
                raise InvalidAudioError(f"The WAV header has more than {MAX_HEADER_BYTES} bytes before the samples.")
            if self._skip_bytes or len(self._buffer) < 8:
                return None
            name, size_bytes = bytes(self._buffer[:4]), int.from_bytes(self._buffer[4:8], "little")
            if name == b"data":
                return self._samples(size_bytes), bytes(self._buffer[8:])
            if name == b"fmt ":
                if len(self._buffer) < 8 + min(size_bytes, _KEPT_FORM_BYTES):
                    return None
                self._format = _audio_format(
                    bytes(self._buffer[8 : 8 + min(size_bytes, _KEPT_FORM_BYTES)]), separate=self._separate
                )
            self._skip_bytes = 8 + size_bytes + size_bytes % 2

    def _samples(self, size_bytes: int) -> WavSamples:
        if self._format is None:
            raise InvalidAudioError("The WAV header has no fmt chunk before its samples.")
        is_known = 0 < size_bytes < UNKNOWN_SIZE_FROM
        return WavSamples(self._format, size_bytes if is_known else None)


def _audio_format(form: bytes, *, separate: bool) -> AudioFormat:
    if len(form) < 16:
        raise InvalidAudioError(f"The WAV header has a fmt chunk of {len(form)} bytes; the minimum is 16.")
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", form[:16])
    if tag == _EXTENSIBLE and form[26:40] == _GUID_TAIL:
        tag = int.from_bytes(form[24:26], "little")
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None:
        raise UnsupportedAudioError(
            f"The WAV header names format {tag:#06x} with {bits} bits; live: {', '.join(SAMPLE_BYTES)}."
        )
    if not 1 <= channels <= (MAX_TRACKS if separate else MAX_CHANNELS):
        allowed = f"1 to {MAX_TRACKS}" if separate else "1, 2"
        raise UnsupportedAudioError(f"The WAV header names {channels} channels; live: {allowed}.")
    if frame_bytes != channels * SAMPLE_BYTES[encoding]:
        raise InvalidAudioError(f"The WAV header names {frame_bytes} bytes for {channels} samples of {bits} bits.")
    try:
        return AudioFormat(encoding, rate_hz, channels, separate)
    except InvalidFieldError as error:
        raise UnsupportedAudioError(f"The WAV header: {error.message}") from None
