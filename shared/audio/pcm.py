"""Converts raw samples as clients send them to mono floats.

Supports the raw encodings, split at any byte. Knows no container, no resampling and no wire
message. The output for given bytes does not depend on how they were split into chunks.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.audio.stereo import StereoMix
from shared.errors import InvalidAudioError, InvalidFieldError
from shared.session_options import MAX_TRACKS

Samples: TypeAlias = NDArray[np.float32]
"""Mono samples, shape [samples], full scale ±1."""

SAMPLE_BYTES = {
    "pcm_s16le": 2,
    "pcm_s32le": 4,
    "pcm_f16le": 2,
    "pcm_f32le": 4,
    "pcmu": 1,
    "pcma": 1,
    "pcm_u8": 1,
    "pcm_s24le": 3,
    "pcm_f64le": 8,
}
"""Bytes of one sample of one channel, for each supported raw encoding."""

MIN_SAMPLE_RATE_HZ = 6_000
MAX_SAMPLE_RATE_HZ = 384_000
MAX_CHANNELS = 2

FULL_SCALE = 32_768.0
"""The s16 value of 1.0. Division and multiplication by it are exact in float32."""
FULL_SCALE_S24 = 2.0**23
FULL_SCALE_S32 = 2.0**31
FULL_SCALE_U8 = 2.0**7


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """The format of raw bytes. Raises `InvalidFieldError` for a value that is not allowed."""

    encoding: str = "pcm_s16le"
    """A key of `SAMPLE_BYTES`."""
    sample_rate: int = 16_000
    """Hz, 6000 to 384000."""
    channels: int = 1
    """Interleaved. 1 or 2; two are mixed (see `StereoMix`)."""
    separate: bool = False
    """Whether the channels, at most `MAX_TRACKS`, are kept apart (see `shared.audio.tracks`)."""

    def __post_init__(self) -> None:
        if self.encoding not in SAMPLE_BYTES:
            raise InvalidFieldError("encoding", self.encoding, ", ".join(SAMPLE_BYTES))
        if type(self.sample_rate) is not int or not MIN_SAMPLE_RATE_HZ <= self.sample_rate <= MAX_SAMPLE_RATE_HZ:
            allowed = f"a whole number from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} (Hz)"
            raise InvalidFieldError("sample_rate", self.sample_rate, allowed)
        most = MAX_TRACKS if self.separate else MAX_CHANNELS
        if type(self.channels) is not int or not 1 <= self.channels <= most:
            allowed = "1, 2, 3, 4" if self.separate else "1, 2; also 3, 4 if they are transcribed separately"
            raise InvalidFieldError("channels", self.channels, allowed)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return SAMPLE_BYTES[self.encoding] * self.channels

    def duration_s(self, size_bytes: int) -> float:
        """The duration of `size_bytes` of this format, in seconds."""
        return size_bytes / self.frame_bytes / self.sample_rate


class PcmDecoder:
    """Converts chunks of one raw format to mono floats; keeps the bytes of an incomplete sample for the next chunk."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        is_mixed = audio_format.channels == 2 and not audio_format.separate
        self.mix = StereoMix(audio_format.sample_rate) if is_mixed else None
        self._rest = b""
        self._position_samples = 0
        """Samples per channel decoded so far, at the client's rate."""

    def feed(self, chunk: bytes) -> Samples:
        """All samples that are complete with this chunk: float32 [samples], within ±1.

        Floats outside ±1 are clipped. Raises `InvalidAudioError` for a float that is not finite.
        """
        values = self._values(chunk)
        return values if self.mix is None else self.mix.feed(values.reshape(-1, 2))

    def frames(self, chunk: bytes) -> NDArray[np.float32]:
        """The same without mixing: float32 [samples, channels]."""
        return self._values(chunk).reshape(-1, self.format.channels)

    def _values(self, chunk: bytes) -> Samples:
        pending = self._rest + chunk if self._rest else chunk
        usable_bytes = len(pending) - len(pending) % self.format.frame_bytes
        self._rest = bytes(pending[usable_bytes:])
        values = self._decode(pending[:usable_bytes])
        self._position_samples += len(values) // self.format.channels
        return values

    @property
    def rest_bytes(self) -> int:
        """Bytes of the incomplete sample."""
        return len(self._rest)

    def check_whole(self) -> None:
        """Raises `InvalidAudioError` if the audio ends within a sample."""
        if self._rest:
            raise InvalidAudioError(
                f"The audio ends with {len(self._rest)} bytes of an incomplete sample; "
                f"{self.format.encoding} with {self.format.channels} channel(s) takes {self.format.frame_bytes} bytes "
                f"per sample."
            )

    def _decode(self, raw: bytes) -> Samples:
        """Interleaved float32 values of whole frames."""
        encoding = self.format.encoding
        if encoding in _CODES:
            return _CODES[encoding][np.frombuffer(raw, np.uint8)]
        if encoding == "pcm_s24le":
            return _from_s24(raw)
        dtype, scale = _NUMBERS[encoding]
        if scale is not None:
            return np.frombuffer(raw, dtype).astype(np.float32) / np.float32(scale)
        with np.errstate(over="ignore"):  # a double beyond the range of a float becomes infinite, and is rejected
            return self._checked(np.frombuffer(raw, dtype).astype(np.float32))

    def _checked(self, values: Samples) -> Samples:
        finite = np.isfinite(values)
        if not finite.all():
            first = int(np.argmin(finite))
            position = self._position_samples + first // self.format.channels
            raise InvalidAudioError(f"Sample {position} is {values[first]}; float samples must be finite, within ±1.")
        return np.clip(values, -1.0, 1.0)


def mixed_to_mono(frames: NDArray[np.float32]) -> Samples:
    """The mean over the channels: float32 [samples, channels] to float32 [samples]."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    # Added channel by channel: the order of the additions, and so the last bit, is the same for any chunk size.
    total = frames[:, 0].copy()
    for channel in range(1, frames.shape[1]):
        total += frames[:, channel]
    return total / np.float32(frames.shape[1])


def from_s16(samples: NDArray[np.int16]) -> Samples:
    """16-bit samples as floats; exact."""
    return samples.astype(np.float32) / np.float32(FULL_SCALE)


def to_s16le(samples: Samples) -> bytes:
    """Floats as little-endian 16-bit samples: rounded to the nearest, clipped to the range."""
    scaled: Samples = np.clip(np.rint(samples * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1)
    return scaled.astype("<i2").tobytes()


def _from_s24(raw: bytes) -> Samples:
    """24-bit samples; numpy has none, so each becomes the upper three bytes of four."""
    wide = np.zeros((len(raw) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
    values: NDArray[np.int32] = wide.view("<i4")[:, 0] >> 8
    return values.astype(np.float32) / np.float32(FULL_SCALE_S24)


def _unsigned_table() -> Samples:
    """Unsigned 8-bit samples: 128 is silence."""
    return ((np.arange(256) - 128) / FULL_SCALE_U8).astype(np.float32)


def _mulaw_table() -> Samples:
    """ITU-T G.711 table 2a: 14-bit decoder values, here ×4 (the usual 16-bit scale), as floats."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / FULL_SCALE).astype(np.float32)


def _alaw_table() -> Samples:
    """ITU-T G.711 table 1a: 13-bit decoder values, here ×8 (the usual 16-bit scale), as floats."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code & 0x70) >> 4
    step = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / FULL_SCALE).astype(np.float32)


_CODES = {"pcmu": _mulaw_table(), "pcma": _alaw_table(), "pcm_u8": _unsigned_table()}
"""The value of each byte."""
_NUMBERS: dict[str, tuple[str, float | None]] = {
    "pcm_s16le": ("<i2", FULL_SCALE),
    "pcm_s32le": ("<i4", FULL_SCALE_S32),
    "pcm_f16le": ("<f2", None),
    "pcm_f32le": ("<f4", None),
    "pcm_f64le": ("<f8", None),
}
"""Type of the samples, and the value of 1.0; None: 1.0 itself."""
