"""Every kind of recording that the installed PyAV can write, made on the fly."""

import io
from functools import cache

import av
import numpy as np

from tests.unit.shared.audio.test_files import LAYOUTS, tone

DURATION_S = 0.4

WRITABLE: dict[str, tuple[str, str, int]] = {
    "adts": ("adts", "aac", 44_100),
    "latm": ("latm", "aac", 44_100),
    "caf": ("caf", "pcm_s16be", 44_100),
    "caf-alac": ("caf", "alac", 44_100),
    "caf-f32": ("caf", "pcm_f32be", 44_100),
    "aiff": ("aiff", "pcm_s16be", 44_100),
    "aiff-s24": ("aiff", "pcm_s24be", 48_000),
    "au": ("au", "pcm_s16be", 44_100),
    "au-mulaw": ("au", "pcm_mulaw", 8_000),
    "w64": ("w64", "pcm_s16le", 48_000),
    "wav-s16-6k": ("wav", "pcm_s16le", 6_000),
    "wav-s16-384k": ("wav", "pcm_s16le", 384_000),
    "wav-s32": ("wav", "pcm_s32le", 16_000),
    "wav-f64": ("wav", "pcm_f64le", 16_000),
    "wav-alaw": ("wav", "pcm_alaw", 8_000),
    "wav-adpcm": ("wav", "adpcm_ms", 22_050),
    "wav-ima": ("wav", "adpcm_ima_wav", 22_050),
    "wav-g722": ("wav", "g722", 16_000),
    "wav-g726": ("wav", "g726", 8_000),
    "wav-mp3": ("wav", "mp3", 44_100),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "3gp-amr": ("3gp", "libopencore_amrnb", 8_000),
    "3gp-aac": ("3gp", "aac", 44_100),
    "mov-pcm": ("mov", "pcm_s16le", 44_100),
    "mov-ima": ("mov", "adpcm_ima_qt", 44_100),
    "mp2": ("mp2", "mp2", 44_100),
    "mpegts-aac": ("mpegts", "aac", 44_100),
    "mpegts-mp2": ("mpegts", "mp2", 48_000),
    "mpegts-ac3": ("mpegts", "ac3", 48_000),
    "mpeg-mp2": ("mpeg", "mp2", 48_000),
    "vob-ac3": ("vob", "ac3", 48_000),
    "ac3": ("ac3", "ac3", 48_000),
    "eac3": ("eac3", "eac3", 48_000),
    "mkv-ac3": ("matroska", "ac3", 48_000),
    "mkv-flac": ("matroska", "flac", 48_000),
    "mkv-pcm": ("matroska", "pcm_s16le", 16_000),
    "wma": ("asf", "wmav2", 44_100),
    "avi-mp3": ("avi", "mp3", 44_100),
    "avi-pcm": ("avi", "pcm_s16le", 16_000),
    "avi-ac3": ("avi", "ac3", 48_000),
    "flv-mp3": ("flv", "mp3", 44_100),
    "flv-aac": ("flv", "aac", 44_100),
    "tta": ("tta", "tta", 44_100),
    "wavpack": ("wv", "wavpack", 44_100),
    "voc": ("voc", "pcm_u8", 16_000),
    "sox": ("sox", "pcm_s32le", 16_000),
    "ircam": ("ircam", "pcm_s16le", 16_000),
    "nut": ("nut", "pcm_s16le", 16_000),
    "rm": ("rm", "ac3", 44_100),
    "swf": ("swf", "mp3", 44_100),
}
"""ffmpeg's muxer, its codec, and a sample rate."""
LEAST_CODED_BITS = 128_000
"""WMA with one channel does not open at its default bit rate."""


@cache
def written(kind: str, channels: int = 1, duration_s: float = DURATION_S) -> bytes | None:
    """A tone in a file of this kind; None if its encoder or its muxer does not support so many channels."""
    muxer, codec, rate = WRITABLE[kind]
    layouts = LAYOUTS.get(codec, LAYOUTS["aac"] if codec in ("ac3", "eac3") else LAYOUTS[""])
    if channels > len(layouts):
        return None
    sink = io.BytesIO()
    try:
        with av.open(sink, "w", format=muxer) as container:
            stream = container.add_stream(codec, rate=rate)
            stream.layout = layouts[channels - 1]
            if codec == "wmav2":
                stream.bit_rate = LEAST_CODED_BITS
            samples = np.ascontiguousarray(tone(rate, duration_s, channels).T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layouts[channels - 1])
            frame.sample_rate, frame.pts = rate, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError):
        return None
    return sink.getvalue()
