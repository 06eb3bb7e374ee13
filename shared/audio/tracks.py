"""Keeps channels apart: each becomes its own track of s16le at 16 kHz, and one sample of each track follows another.

Knows no container. The alternative to mixing (`stereo`, `downmix`).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio.blocks import BLOCK_BYTES
from shared.audio.pcm import AudioFormat, PcmDecoder, to_s16le
from shared.audio.resample import Resampler
from shared.errors import UnsupportedAudioError

TRACK_SAMPLE_BYTES: Final = 2
TRACKS_BLOCK_BYTES: Final = BLOCK_BYTES - BLOCK_BYTES % 24
"""The size of decoded blocks: the most that holds whole frames of 1, 2, 3 or 4 tracks."""


@dataclass(slots=True)
class Separation:
    """How the channels of a recording are separated."""

    most: int
    """Recordings with more channels are rejected."""
    found: int | None = None
    """The number of tracks, which is known together with the first audio."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all tracks."""
        return TRACK_SAMPLE_BYTES * (self.found or 1)


class SeparateTracks:
    """Converts frames of one rate to tracks. Tracks without a channel are silent."""

    def __init__(self, rate_hz: int, channels: int, tracks: int) -> None:
        assert channels <= tracks
        self._tracks = tracks
        self._resamplers = [Resampler(rate_hz) for _ in range(channels)]

    def feed(self, frames: NDArray[np.float32]) -> bytes:
        """The samples that are final: `frames` is float32 [frames, channels] within ±1."""
        return self._interleaved([one.feed(frames[:, at]) for at, one in enumerate(self._resamplers)])

    def finish(self) -> bytes:
        """The samples that the resamplers still hold back."""
        return self._interleaved([one.finish() for one in self._resamplers])

    def _interleaved(self, channels: list[NDArray[np.float32]]) -> bytes:
        frames = np.zeros((len(channels[0]), self._tracks), np.float32)
        for at, samples in enumerate(channels):  # of equal length: resamplers count only samples
            frames[:, at] = samples
        return to_s16le(frames)


class TrackStream:
    """Raw samples as tracks: like `PcmStream`, but nothing is mixed."""

    mix = None

    def __init__(self, audio_format: AudioFormat, tracks: int) -> None:
        """Raises UnsupportedAudioError if the format has more channels than there are tracks."""
        check_channels(audio_format.channels, tracks)
        self.format = audio_format
        self._decoder = PcmDecoder(audio_format)
        self._tracks = SeparateTracks(audio_format.sample_rate, audio_format.channels, tracks)

    def feed(self, chunk: bytes) -> bytes:
        """The whole frames that this chunk completes, possibly none. Raises InvalidAudioError."""
        return self._tracks.feed(self._decoder.frames(chunk))

    @property
    def rest_bytes(self) -> int:
        """Bytes of an incomplete frame; `finish` drops them."""
        return self._decoder.rest_bytes

    def check_whole(self) -> None:
        """Raises InvalidAudioError if the audio ends within a frame."""
        self._decoder.check_whole()

    def finish(self) -> bytes:
        return self._tracks.finish()


def check_channels(channels: int, tracks: int) -> None:
    """Raises UnsupportedAudioError if audio has more channels than may be separated."""
    if channels > tracks:
        raise UnsupportedAudioError(
            f"The audio has {channels} channels; allowed with channel_mode separate: 1 to {tracks} (channels)."
        )
