"""Converts decoded frames of any rate, channels and sample format to s16le 16 kHz: one track, or one a channel."""

from typing import Any, Final

import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from numpy.typing import NDArray

from shared.audio.damage import MAX_DAMAGES, MAX_WARNINGS
from shared.audio.downmix import Downmix
from shared.audio.pcm import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, to_s16le
from shared.audio.resample import Resampler
from shared.audio.tracks import SeparateTracks, Separation, check_channels
from shared.errors import UnsupportedAudioError

MAX_FILE_CHANNELS: Final = 8
MAX_REMARKS: Final = MAX_WARNINGS - MAX_DAMAGES

_OFFSET_AND_SCALE: Final = {
    "u8": (128, 2.0**-7),
    "s16": (0, 2.0**-15),
    "s32": (0, 2.0**-31),
    "s64": (0, 2.0**-63),
    "flt": (0, 1),
    "dbl": (0, 1),
}
"""How to convert ffmpeg's sample formats to ±1: subtract, then multiply."""
_TYPES: Final[dict[str, Any]] = {
    "u8": np.uint8,
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "flt": np.float32,
    "dbl": np.float64,
}
_STANDARD_LAYOUTS: Final = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
_UNNAMED: Final = "channels ("
"""Begins the name of a layout that is a list of channels."""
_kept_layouts: list[AudioLayout] = []
"""PyAV 18.1.0 frees the list of such a layout twice, unless its object outlives the frame and the process ends without
cleanup, as a decoder does."""


def with_plain_layout(codec: AudioCodecContext) -> None:
    """Give a decoder that has not started a layout without a list of channels. Raises `UnsupportedAudioError`."""
    layout = codec.layout
    channels = layout.nb_channels
    if _UNNAMED in layout.name:
        codec.layout = _STANDARD_LAYOUTS[channels - 1 if 1 <= channels <= MAX_FILE_CHANNELS else 0]
    if channels > MAX_FILE_CHANNELS:
        raise _too_many_channels(channels)


class Sound:
    """Frames in, s16le out. If the rate or the channels change, another part begins."""

    def __init__(self, separation: Separation | None = None) -> None:
        """With a `separation`, each channel becomes a track; the first part determines their number."""
        self._separation = separation
        self._tracks: SeparateTracks | None = None
        self._form = (0, 0)
        """Rate and channels of the current part."""
        self._downmix: Downmix | None = None
        self._resampler: Resampler | None = None
        self.taken_samples = 0
        """Samples at the rates of the file."""
        self.taken_s = 0.0
        self.infinite_samples = 0
        self.first_infinite_s = 0.0
        self.remarks: list[str] = []
        """Warnings about the channels, once finished; each only once."""

    def feed(self, frame: AudioFrame) -> bytes:
        """The audio that is final after this frame. Raises `UnsupportedAudioError`."""
        if not frame.samples:
            return b""
        if _UNNAMED in frame.layout.name:
            _kept_layouts.append(frame.layout)
        form = frame.sample_rate, frame.layout.nb_channels
        ended = b"" if form == self._form else self._begin(*form)
        channels = self._finite(channels_of(frame))
        self.taken_samples += frame.samples
        self.taken_s += frame.samples / frame.sample_rate
        if self._tracks is not None:
            return ended + self._tracks.feed(channels)
        assert self._downmix is not None
        assert self._resampler is not None
        return ended + to_s16le(self._resampler.feed(self._downmix.feed(channels)))

    def finish(self) -> bytes:
        """The remaining audio."""
        if self._tracks is not None:
            tracks, self._tracks = self._tracks, None
            return tracks.finish()
        if self._downmix is None or self._resampler is None:
            return b""
        last = to_s16le(self._resampler.feed(self._downmix.finish())) + to_s16le(self._resampler.finish())
        remark = self._downmix.remark()
        if remark is not None and remark not in self.remarks and len(self.remarks) < MAX_REMARKS:
            self.remarks.append(remark)
        self._downmix = self._resampler = None
        return last

    def _begin(self, rate_hz: int, channels: int) -> bytes:
        """Begin a part; returns the end of the one before."""
        if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
            allowed = f"{MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz"
            raise UnsupportedAudioError(f"The file's sample rate is {rate_hz} Hz; allowed: {allowed}.")
        if not 1 <= channels <= MAX_FILE_CHANNELS:
            raise _too_many_channels(channels)
        if self._separation is not None:
            check_channels(channels, self._separation.found or self._separation.most)
        ended = self.finish()
        self._form = rate_hz, channels
        if self._separation is not None:
            self._separation.found = self._separation.found or channels
            self._tracks = SeparateTracks(rate_hz, channels, self._separation.found)
            return ended
        self._downmix, self._resampler = Downmix(rate_hz), Resampler(rate_hz)
        return ended

    def _finite(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        finite = np.isfinite(values)
        if not finite.all():
            if not self.infinite_samples:
                self.first_infinite_s = self.taken_s
            self.infinite_samples += int(np.count_nonzero(~finite))
            values = np.where(finite, values, np.float32(0))
        return np.clip(values, -1.0, 1.0)


def _too_many_channels(channels: int) -> UnsupportedAudioError:
    return UnsupportedAudioError(f"The file has {channels} channels; allowed: 1 to {MAX_FILE_CHANNELS}.")


def channels_of(frame: AudioFrame) -> NDArray[np.float32]:
    """Float32 [samples, channels], full scale ±1; floats may exceed it, or be NaN."""
    channels = frame.layout.nb_channels
    name = frame.format.name.removesuffix("p")
    if name not in _OFFSET_AND_SCALE:
        raise UnsupportedAudioError(f"The file's samples are {name}; allowed: {', '.join(_OFFSET_AND_SCALE)}.")
    offset, scale = _OFFSET_AND_SCALE[name]
    # Not `to_ndarray`: of 8 planar channels PyAV 18.1.0 counts 9 planes, and reads invalid memory.
    planes = frame.planes[: channels if frame.format.is_planar else 1]
    count = frame.samples * channels // len(planes)
    values = [np.frombuffer(memoryview(plane), _TYPES[name], count) for plane in planes]
    frames = np.stack(values, axis=1) if frame.format.is_planar else values[0].reshape(-1, channels)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled: NDArray[np.float32] = ((frames.astype(np.float64) - offset) * scale).astype(np.float32)
    return scaled
