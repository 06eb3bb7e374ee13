"""Converts a client's raw audio, as it arrives, to what the session stores: s16le mono at 16 kHz."""

from shared.audio.pcm import AudioFormat, PcmDecoder, to_s16le
from shared.audio.resample import Resampler
from shared.audio.stereo import StereoMix


class PcmStream:
    """The audio of one session. All outputs joined do not depend on how the input was chunked.

    `feed` raises `InvalidAudioError`; after that, or after `finish`, the object must not be used again.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self._decoder = PcmDecoder(audio_format)
        self._resampler = Resampler(audio_format.sample_rate)

    def feed(self, chunk: bytes) -> bytes:
        """The s16le mono 16 kHz bytes that this chunk completes; whole samples, possibly none."""
        return to_s16le(self._resampler.feed(self._decoder.feed(chunk)))

    @property
    def rest_bytes(self) -> int:
        """Bytes of an incomplete sample; `finish` drops them."""
        return self._decoder.rest_bytes

    @property
    def mix(self) -> StereoMix | None:
        """The mix of two channels; None for one channel."""
        return self._decoder.mix

    def check_whole(self) -> None:
        """Raises `InvalidAudioError` if the audio ends within a sample."""
        self._decoder.check_whole()

    def finish(self) -> bytes:
        """The bytes that the resampler still holds back (at most 30 ms)."""
        return to_s16le(self._resampler.finish())
